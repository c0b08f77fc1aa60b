//! FFmpeg's log, which it keeps for the whole process: to `tracing`, never to standard error.

use ffmpeg_next::ffi;
use std::sync::Once;

/// Must run before the first coder opens; what runs twice costs nothing.
pub(crate) fn redirect() {
    // FFmpeg has one log for the process, so that its redirection can only be a process-wide event as well.
    static REDIRECTED: Once = Once::new();
    REDIRECTED.call_once(|| {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the callback has the signature that FFmpeg asks for, is never removed and may be called by any thread.
        unsafe {
            ffi::av_log_set_callback(Some(pass_on));
        }
        // The type of C's argument list differs on other machines: there the log is silent.
        #[cfg(not(target_arch = "x86_64"))]
        // SAFETY: sets a number.
        unsafe {
            ffi::av_log_set_level(ffi::AV_LOG_QUIET);
        }
    });
}

#[cfg(target_arch = "x86_64")]
unsafe extern "C" fn pass_on(
    whose: *mut std::ffi::c_void,
    level: i32,
    format: *const std::ffi::c_char,
    arguments: *mut ffi::__va_list_tag,
) {
    if level > ffi::AV_LOG_INFO || !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let mut line = [0 as std::ffi::c_char; 512];
    let mut prefix = 1;
    // SAFETY: FFmpeg hands over its own object, format and arguments; the line is bounded by its length, and FFmpeg ends it with a zero.
    let text = unsafe {
        ffi::av_log_format_line(whose, level, format, arguments, line.as_mut_ptr(), line.len() as i32, &mut prefix);
        std::ffi::CStr::from_ptr(line.as_ptr())
    };
    tracing::debug!(target: "ffmpeg", level, "{}", text.to_string_lossy().trim_end());
}

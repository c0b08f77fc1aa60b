//! With the feature `vpx`: libvpx's declarations, from its own headers, so that they fit the library that is linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "vpx")]
    vpx();
}

#[cfg(feature = "vpx")]
fn vpx() {
    let library = pkg_config::Config::new().atleast_version("1.8").probe("vpx").expect("libvpx-dev");
    let includes = library.include_paths.iter().map(|path| format!("-I{}", path.display()));
    let out = std::path::Path::new(&std::env::var_os("OUT_DIR").expect("cargo sets it")).join("vpx.rs");
    bindgen::builder()
        .header_contents("vpx.h", "#include <vpx/vpx_encoder.h>\n#include <vpx/vp8cx.h>\n")
        .clang_args(includes)
        .allowlist_function("vpx_codec_(vp8_cx|vp9_cx|enc_config_default|enc_config_set|enc_init_ver|control_|encode|destroy|get_cx_data)")
        .allowlist_function("vpx_img_wrap")
        .allowlist_type("vp8e_enc_control_id|vpx_codec_cx_pkt_kind|vpx_rc_mode|vpx_img_fmt")
        .allowlist_var("VPX_(ENCODER_ABI_VERSION|EFLAG_FORCE_KF|FRAME_IS_KEY)")
        .prepend_enum_name(false)
        .generate()
        .expect("libvpx's headers can be read")
        .write_to_file(out)
        .expect("cargo's directory can be written to");
}

//! What can go wrong on the wire, with Kurento's numbers, names and texts.
//!
//! What enters: a refusal from any room of this crate or from a handler. What leaves: the `error` member of a JSON-RPC
//! response. What it must never know: where the refusal came from.

use serde_json::{Map, Value as Json};

/// A refusal as a client sees it. The message is part of the protocol: clients compare it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("Parse error.")]
    Parse,
    #[error("Invalid JSON-RPC request.")]
    InvalidRequest,
    #[error("Method not found.")]
    MethodNotFound,
    /// A method that needs `params` got none.
    #[error("'params' is required")]
    ParamsRequired,
    /// A member of `params` is missing or of the wrong kind.
    #[error("{0}")]
    Param(String),
    /// A request without an id was executed; its result travels as `data`.
    #[error("Ignoring response because of a notification request")]
    Notification(Json),
    /// The server's own fault.
    #[error("Unexpected error while processing method: {0}")]
    Internal(String),
    /// Arguments of the wrong kind or format.
    #[error("{0}")]
    Marshall(String),
    #[error("{0}")]
    Unexpected(String),
    #[error("{0}")]
    Connect(String),
    #[error("{0}")]
    UnsupportedMediaType(String),
    #[error("{0}")]
    NotImplemented(String),
    #[error("Invalid session")]
    InvalidSession,
    #[error("{0}")]
    MalformedTransaction(String),
    #[error("{0}")]
    NotEnoughResources(String),
    #[error("{0}")]
    TypeNotFound(String),
    /// Also for objects that exist but cannot be used here.
    #[error("{0}")]
    ObjectNotFound(String),
    #[error("{0}")]
    ConstructorNotFound(String),
    #[error("{0}")]
    OperationNotFound(String),
    #[error("Event '{0}' not supported")]
    EventNotSupported(String),
    #[error("{0}")]
    IllegalParam(String),
    #[error("{0}")]
    NotAvailable(String),
    /// A `newref:` used outside a transaction; holds that text.
    #[error("Object '{0}' not found. Possibly using a transactional object without committing the transaction.")]
    NoCommit(String),
    #[error("Tag key not found")]
    TagNotFound,
    #[error("{0}")]
    OperationNotSupported(String),
    #[error("{0}")]
    SdpCreate(String),
    #[error("{0}")]
    SdpParse(String),
    #[error("No local SDP")]
    NoLocalSdp,
    #[error("No remote SDP")]
    NoRemoteSdp,
    #[error("{0}")]
    GenerateOffer(String),
    #[error("{0}")]
    ProcessOffer(String),
    #[error("{0}")]
    ProcessAnswer(String),
    #[error("{0}")]
    SdpConfiguration(String),
    #[error("Endpoint already negotiated")]
    AlreadyNegotiated,
    #[error("Offer not generated. It is not possible to process an answer.")]
    OfferNotGenerated,
    #[error("Sdp Answer already processed")]
    AnswerAlreadyProcessed,
    #[error("Cannot create session")]
    CannotCreateSession,
    #[error("{0}")]
    HttpRegistration(String),
    #[error("{0}")]
    GatherCandidates(String),
    #[error("{0}")]
    AddCandidate(String),
    #[error("Requested kmd module doesn't exist")]
    KmdNotFound,
    #[error("{0}")]
    FileNotFound(String),
    #[error("{0}")]
    SeekFailed(String),
    /// A module's own error; its code is between 49000 and 49999.
    #[error("{message}")]
    Custom { code: i32, message: String },
}

impl Error {
    /// `Object '<id>' not found`, or its transactional sister when the id is an unresolved `newref:`.
    pub fn no_object(id: &str) -> Self {
        match id.starts_with("newref:") {
            true => Error::NoCommit(id.to_owned()),
            false => Error::ObjectNotFound(format!("Object '{id}' not found")),
        }
    }

    /// `'<name>' parameter should be a <kind>`, code 40001: an argument of an operation or constructor.
    pub fn bad_argument(name: &str, kind: &str) -> Self {
        Error::Marshall(format!("'{name}' parameter should be a {kind}"))
    }

    /// `'<name>' property should be a <kind>`, code 40001: a field of a complex argument.
    pub fn bad_field(name: &str, kind: &str) -> Self {
        Error::Marshall(format!("'{name}' property should be a {kind}"))
    }

    pub fn no_factory(class: &str) -> Self {
        Error::NotAvailable(format!("Factory '{class}' not found"))
    }

    /// The number of the error, and `data.type`; `None` where the protocol has no `data`.
    fn identity(&self) -> (i32, Option<&'static str>) {
        match self {
            Error::Parse => (-32700, None),
            Error::InvalidRequest => (-32600, None),
            Error::MethodNotFound => (-32601, None),
            Error::ParamsRequired => (-32602, Some("INVALID_PARAMS")),
            Error::Param(_) => (-32000, None),
            Error::Notification(_) => (-32000, None),
            Error::Internal(_) => (-32603, None),
            Error::Marshall(_) => (40001, Some("MARSHALL_ERROR")),
            Error::Unexpected(_) => (40003, Some("UNEXPECTED_ERROR")),
            Error::Connect(_) => (40004, Some("CONNECT_ERROR")),
            Error::UnsupportedMediaType(_) => (40005, Some("UNSUPPORTED_MEDIA_TYPE")),
            Error::NotImplemented(_) => (40006, Some("NOT_IMPLEMENTED")),
            Error::InvalidSession => (40007, Some("INVALID_SESSION")),
            Error::MalformedTransaction(_) => (40008, Some("MALFORMED_TRANSACTION")),
            Error::NotEnoughResources(_) => (40009, Some("NOT_ENOUGH_RESOURCES")),
            Error::TypeNotFound(_) => (40100, Some("MEDIA_OBJECT_TYPE_NOT_FOUND")),
            Error::ObjectNotFound(_) => (40101, Some("MEDIA_OBJECT_NOT_FOUND")),
            Error::ConstructorNotFound(_) => (40104, Some("MEDIA_OBJECT_CONSTRUCTOR_NOT_FOUND")),
            Error::OperationNotFound(_) => (40105, Some("MEDIA_OBJECT_METHOD_NOT_FOUND")),
            Error::EventNotSupported(_) => (40106, Some("MEDIA_OBJECT_EVENT_NOT_SUPPORTED")),
            Error::IllegalParam(_) => (40107, Some("MEDIA_OBJECT_ILLEGAL_PARAM_ERROR")),
            Error::NotAvailable(_) => (40108, Some("MEDIA_OBJECT_NOT_AVAILABLE")),
            Error::NoCommit(_) => (40109, Some("MEDIA_OBJECT_NOT_FOUND_TRANSACTION_NO_COMMIT")),
            Error::TagNotFound => (40110, Some("MEDIA_OBJECT_TAG_KEY_NOT_FOUND")),
            Error::OperationNotSupported(_) => (40111, Some("MEDIA_OBJECT_OPERATION_NOT_SUPPORTED")),
            Error::SdpCreate(_) => (40200, Some("SDP_CREATE_ERROR")),
            Error::SdpParse(_) => (40201, Some("SDP_PARSE_ERROR")),
            Error::NoLocalSdp => (40202, Some("SDP_END_POINT_NO_LOCAL_SDP_ERROR")),
            Error::NoRemoteSdp => (40203, Some("SDP_END_POINT_NO_REMOTE_SDP_ERROR")),
            Error::GenerateOffer(_) => (40204, Some("SDP_END_POINT_GENERATE_OFFER_ERROR")),
            Error::ProcessOffer(_) => (40205, Some("SDP_END_POINT_PROCESS_OFFER_ERROR")),
            Error::ProcessAnswer(_) => (40206, Some("SDP_END_POINT_PROCESS_ANSWER_ERROR")),
            Error::SdpConfiguration(_) => (40207, Some("SDP_CONFIGURATION_ERROR")),
            Error::AlreadyNegotiated => (40208, Some("SDP_END_POINT_ALREADY_NEGOTIATED")),
            Error::OfferNotGenerated => (40209, Some("SDP_END_POINT_NOT_OFFER_GENERATED")),
            Error::AnswerAlreadyProcessed => (40210, Some("SDP_END_POINT_ANSWER_ALREADY_PROCCESED")),
            Error::CannotCreateSession => (40211, Some("SDP_END_POINT_CANNOT_CREATE_SESSON")),
            Error::HttpRegistration(_) => (40300, Some("HTTP_END_POINT_REGISTRATION_ERROR")),
            Error::GatherCandidates(_) => (40400, Some("ICE_GATHER_CANDIDATES_ERROR")),
            Error::AddCandidate(_) => (40401, Some("ICE_ADD_CANDIDATE_ERROR")),
            Error::KmdNotFound => (40500, Some("UNDEFINED")),
            Error::FileNotFound(_) => (40600, Some("URI_PATH_FILE_NOT_FOUND")),
            Error::SeekFailed(_) => (40700, Some("PLAYER_SEEK_FAIL")),
            Error::Custom { code, .. } => (*code, Some("UNDEFINED")),
        }
    }

    /// The JSON-RPC error code.
    pub fn code(&self) -> i32 {
        self.identity().0
    }

    /// `data.type`, where the protocol gives one.
    pub fn kind(&self) -> Option<&'static str> {
        self.identity().1
    }

    /// The `error` member of a response.
    pub fn to_json(&self) -> Json {
        let mut error = Map::new();
        error.insert("code".into(), self.code().into());
        match (self, self.kind()) {
            (Error::Notification(result), _) => drop(error.insert("data".into(), result.clone())),
            (_, Some(kind)) => drop(error.insert("data".into(), serde_json::json!({ "type": kind }))),
            (_, None) => {}
        }
        error.insert("message".into(), self.to_string().into());
        Json::Object(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_code_type_and_message() {
        let json = Error::no_object("x").to_json().to_string();
        assert_eq!(json, r#"{"code":40101,"data":{"type":"MEDIA_OBJECT_NOT_FOUND"},"message":"Object 'x' not found"}"#);
        assert_eq!(Error::Parse.to_json().to_string(), r#"{"code":-32700,"message":"Parse error."}"#);
    }

    #[test]
    fn an_unresolved_newref_has_its_own_error() {
        let error = Error::no_object("newref:0");
        assert_eq!(error.code(), 40109);
        assert!(error.to_string().starts_with("Object 'newref:0' not found. Possibly"));
    }

    #[test]
    fn a_module_keeps_its_own_code() {
        let error = Error::Custom { code: 49001, message: "no plates".into() };
        assert_eq!((error.code(), error.kind()), (49001, Some("UNDEFINED")));
    }
}

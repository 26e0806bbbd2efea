//! The requests of the v1 API that most tests need, on top of the raw client.

use serde_json::Value;

use super::http::{Request, Response, ResponseHead};
use super::server::Server;

/// Headers of a request.
pub type Headers<'a> = &'a [(&'a str, &'a str)];

/// Both formats, which an image needs before it accepts data.
pub const RAW: Headers<'static> = &[
    ("x-image-meta-disk_format", "raw"),
    ("x-image-meta-container_format", "bare"),
];

/// The content type that image data must have.
pub const OCTETS: (&str, &str) = ("Content-Type", "application/octet-stream");

/// Header lines of an upload of a public image.
pub const UPLOAD: &str = "Content-Type: application/octet-stream\r\n\
     x-image-meta-disk_format: raw\r\n\
     x-image-meta-container_format: bare\r\n\
     x-image-meta-is_public: True";

/// Returns a POST of metadata.
pub fn post(headers: Headers) -> Request {
    Request::post("/v1/images").headers(headers)
}

/// Returns a POST of metadata with data, formats and Content-Type.
pub fn post_data(headers: Headers, data: &[u8]) -> Request {
    let request = post(RAW).headers(&[OCTETS]).headers(headers);
    request.body(data)
}

/// Returns a PUT of metadata.
pub fn put(id: &str, headers: Headers) -> Request {
    Request::put(&image_path(id)).headers(headers)
}

/// Returns a PUT of data.
pub fn put_data(id: &str, headers: Headers, data: &[u8]) -> Request {
    put(id, headers).headers(&[OCTETS]).body(data)
}

/// `/v1/images/{id}`.
pub fn image_path(id: &str) -> String {
    format!("/v1/images/{id}")
}

/// Returns the image in the response to a POST or PUT.
#[track_caller]
pub fn image_of(response: &Response) -> Value {
    response.json()["image"].clone()
}

/// Returns the id of the image in the response to a POST or PUT.
#[track_caller]
pub fn id_of(response: &Response) -> String {
    let id = image_of(response)["id"].as_str().map(str::to_owned);
    id.expect("an image with an id")
}

/// Returns the ids of a list in its order.
#[track_caller]
pub fn ids_of(response: &Response) -> Vec<String> {
    let images = response.json()["images"].as_array().cloned();
    let images = images.expect("a list of images");
    let id = |image: &Value| image["id"].as_str().expect("an id").to_owned();
    images.iter().map(id).collect()
}

impl ResponseHead {
    /// Returns the status of the image in its metadata.
    pub fn image_status(&self) -> Option<&str> {
        self.header("x-image-meta-status")
    }
}

impl Server {
    /// Registers an image without data and returns its id.
    #[track_caller]
    pub fn create(&self, headers: Headers) -> String {
        id_of(&self.request(&post(headers)).expect(201))
    }

    /// Registers an image that accepts data (both formats are set) and returns its id.
    #[track_caller]
    pub fn reserve(&self) -> String {
        self.create(RAW)
    }

    /// Registers an image with data and returns its id.
    #[track_caller]
    pub fn upload(&self, headers: Headers, data: &[u8]) -> String {
        id_of(&self.request(&post_data(headers, data)).expect(201))
    }

    /// Sends HEAD of an image.
    #[track_caller]
    pub fn head(&self, id: &str) -> Response {
        self.request(&Request::head(&image_path(id)))
    }

    /// Sends GET of an image.
    #[track_caller]
    pub fn download(&self, id: &str) -> Response {
        self.request(&Request::get(&image_path(id)))
    }

    /// Sends DELETE of an image.
    #[track_caller]
    pub fn remove(&self, id: &str) -> Response {
        self.request(&Request::delete(&image_path(id)))
    }

    /// Returns the status that HEAD shows.
    #[track_caller]
    pub fn status_of(&self, id: &str) -> String {
        let head = self.head(id).expect(200);
        head.image_status().expect("a status").to_owned()
    }

    /// Sends GET of a path and returns the JSON.
    #[track_caller]
    pub fn json(&self, path: &str) -> Value {
        self.request(&Request::get(path)).expect(200).json()
    }

    /// Returns the ids of a list in its order.
    #[track_caller]
    pub fn listed(&self, query: &str) -> Vec<String> {
        let path = format!("/v1/images?{query}");
        ids_of(&self.request(&Request::get(&path)).expect(200))
    }

    /// Returns the image with this id from a detailed list.
    #[track_caller]
    pub fn detail_of(&self, id: &str) -> Value {
        let path = format!("/v1/images/detail?is_public=None&id={id}");
        let images = self.json(&path)["images"].clone();
        let image = images.as_array().and_then(|images| images.first()).cloned();
        image.expect("the image in the list")
    }
}

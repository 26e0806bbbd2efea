//! The words of the v1 API that every test needs, on top of the raw client.

use serde_json::Value;

use super::http::{Request, Response, ResponseHead};
use super::server::Server;

/// Headers of a request.
pub type Headers<'a> = &'a [(&'a str, &'a str)];

/// Both formats, without which an image takes no data.
pub const RAW: Headers<'static> = &[
    ("x-image-meta-disk_format", "raw"),
    ("x-image-meta-container_format", "bare"),
];

/// What image data must say they are.
pub const OCTETS: (&str, &str) = ("Content-Type", "application/octet-stream");

/// Header lines of an upload that everybody may see.
pub const UPLOAD: &str = "Content-Type: application/octet-stream\r\n\
     x-image-meta-disk_format: raw\r\n\
     x-image-meta-container_format: bare\r\n\
     x-image-meta-is_public: True";

/// POST of metadata.
pub fn post(headers: Headers) -> Request {
    Request::post("/v1/images").headers(headers)
}

/// POST of metadata with data: formats and Content-Type are said.
pub fn post_data(headers: Headers, data: &[u8]) -> Request {
    let request = post(RAW).headers(&[OCTETS]).headers(headers);
    request.body(data)
}

/// PUT of metadata.
pub fn put(id: &str, headers: Headers) -> Request {
    Request::put(&image_path(id)).headers(headers)
}

/// PUT of data.
pub fn put_data(id: &str, headers: Headers, data: &[u8]) -> Request {
    put(id, headers).headers(&[OCTETS]).body(data)
}

/// `/v1/images/{id}`.
pub fn image_path(id: &str) -> String {
    format!("/v1/images/{id}")
}

/// The image of an answer to POST or PUT.
#[track_caller]
pub fn image_of(response: &Response) -> Value {
    response.json()["image"].clone()
}

/// The id of the image of an answer to POST or PUT.
#[track_caller]
pub fn id_of(response: &Response) -> String {
    let id = image_of(response)["id"].as_str().map(str::to_owned);
    id.expect("an image with an id")
}

/// The ids of a list, in its order.
#[track_caller]
pub fn ids_of(response: &Response) -> Vec<String> {
    let images = response.json()["images"].as_array().cloned();
    let images = images.expect("a list of images");
    let id = |image: &Value| image["id"].as_str().expect("an id").to_owned();
    images.iter().map(id).collect()
}

impl ResponseHead {
    /// The status of the image in its metadata.
    pub fn image_status(&self) -> Option<&str> {
        self.header("x-image-meta-status")
    }
}

impl Server {
    /// Registers an image without data; its id.
    #[track_caller]
    pub fn create(&self, headers: Headers) -> String {
        id_of(&self.request(&post(headers)).expect(201))
    }

    /// Registers an image that can take data (both formats are set); its id.
    #[track_caller]
    pub fn reserve(&self) -> String {
        self.create(RAW)
    }

    /// Registers an image with its data; its id.
    #[track_caller]
    pub fn upload(&self, headers: Headers, data: &[u8]) -> String {
        id_of(&self.request(&post_data(headers, data)).expect(201))
    }

    /// HEAD of an image.
    #[track_caller]
    pub fn head(&self, id: &str) -> Response {
        self.request(&Request::head(&image_path(id)))
    }

    /// GET of an image.
    #[track_caller]
    pub fn download(&self, id: &str) -> Response {
        self.request(&Request::get(&image_path(id)))
    }

    /// DELETE of an image.
    #[track_caller]
    pub fn remove(&self, id: &str) -> Response {
        self.request(&Request::delete(&image_path(id)))
    }

    /// The status that HEAD shows.
    #[track_caller]
    pub fn status_of(&self, id: &str) -> String {
        let head = self.head(id).expect(200);
        head.image_status().expect("a status").to_owned()
    }

    /// GET of a path, as JSON.
    #[track_caller]
    pub fn json(&self, path: &str) -> Value {
        self.request(&Request::get(path)).expect(200).json()
    }

    /// The ids that a list has, in its order.
    #[track_caller]
    pub fn listed(&self, query: &str) -> Vec<String> {
        let path = format!("/v1/images?{query}");
        ids_of(&self.request(&Request::get(&path)).expect(200))
    }

    /// The one image with this id in a detailed list.
    #[track_caller]
    pub fn detail_of(&self, id: &str) -> Value {
        let path = format!("/v1/images/detail?is_public=None&id={id}");
        let images = self.json(&path)["images"].clone();
        let image = images.as_array().and_then(|images| images.first()).cloned();
        image.expect("the image in the list")
    }
}

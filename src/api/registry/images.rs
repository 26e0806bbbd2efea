//! Images in the dialect of Glance's own registry.

use http::StatusCode;
use http::header::HeaderValue;

use super::context::Context;
use super::endpoint::Endpoint;
use super::members;
use crate::api::answer::{Answer, JSON};
use crate::api::errors::status_page;
use crate::api::exchange::Exchange;
use crate::api::gone_query::look_at_deleted;
use crate::api::list_query;
use crate::api::path::image_id;
use crate::error::Result;
use crate::registry::Record;
use crate::service::Purge;
use crate::wire::registry::{Reader, VERSION, parse_amendment, standard_listing, write_standard};
use crate::wire::{is_true_word, listing};

/// Of PUT; where it is not said, properties that are not named stay.
const PURGE_PROPERTIES: &str = "x-glance-registry-purge-props";

pub(super) async fn answer(
    context: &Context<'_>,
    endpoint: Endpoint,
    exchange: &mut Exchange,
) -> Result<Answer> {
    let (service, caller) = (context.service, &*context.caller);
    match endpoint {
        Endpoint::Index => list(context, exchange, false).await,
        Endpoint::Detail => list(context, exchange, true).await,
        Endpoint::Register => {
            let (fields, _) = parse_amendment(&context.body(exchange).await?)?;
            image(context, &*service.register(caller, fields).await?)
        }
        Endpoint::Show { id } => image(context, &*service.show(caller, &image_id(&id)?).await?),
        Endpoint::Amend { id } => {
            let id = image_id(&id)?;
            let (fields, from_state) = parse_amendment(&context.body(exchange).await?)?;
            let purge = match exchange.header(PURGE_PROPERTIES) {
                Some(word) if is_true_word(word) => Purge::Unnamed,
                _ => Purge::Nothing,
            };
            let amended = service.amend(caller, &id, &fields, purge, from_state.as_deref());
            image(context, &*amended.await?)
        }
        Endpoint::TakeOff { id } => {
            let id = image_id(&id)?;
            image(context, &*service.take_off(caller, &id).await?)
        }
        Endpoint::Usage | Endpoint::Census => {
            Ok(status_page(StatusCode::NOT_FOUND, "", exchange.form))
        }
        _ => members::answer(context, endpoint, exchange).await,
    }
}

/// API servers ask as administrators.
fn reader(context: &Context<'_>) -> Reader {
    match context.caller.is_admin {
        true => Reader::ApiServer,
        false => Reader::User,
    }
}

fn image(context: &Context<'_>, record: &Record) -> Result<Answer> {
    let body = write_standard(&record.image, reader(context))?;
    let mut answer = Answer::of(StatusCode::OK, JSON, body);
    let version = HeaderValue::from(record.version);
    answer.headers.insert(VERSION, version);
    Ok(answer)
}

async fn list(context: &Context<'_>, exchange: &Exchange, detailed: bool) -> Result<Answer> {
    let query = exchange.head.uri.query().unwrap_or_default();
    let mut request = list_query::parse(query)?;
    if context.caller.is_admin {
        look_at_deleted(query, &mut request)?;
    }
    let page = context.service.list(&context.caller, request).await?;
    Ok(match detailed {
        true => Answer::rendered(
            StatusCode::OK,
            JSON,
            standard_listing(page, reader(context)),
        ),
        false => Answer::rendered(StatusCode::OK, JSON, listing(page, false, None)),
    })
}

//! [`LogLayer`]: receives events from `tracing` and passes them to the routes.

use tracing::metadata::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::python::clock::Clock;
use super::recent;
use super::record::{Fields, Record};
use super::routes::Routes;

/// Formats and queues every event that is enabled in the routes.
pub(super) struct LogLayer {
    pub routes: Routes,
    pub clock: Clock,
}

/// The rendered fields of a span, which follow the message of each event in it.
struct SpanPairs(String);

impl<S> Layer<S> for LogLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // The routes never change, so tracing may cache the answer for the call site.
        match self.routes.wants(metadata) {
            true => Interest::always(),
            false => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.routes.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.routes.max_level())
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(SpanPairs(fields.pairs));
        }
    }

    fn on_record(&self, id: &Id, values: &tracing::span::Record<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        values.record(&mut fields);
        if let Some(span) = context.span(id)
            && let Some(pairs) = span.extensions_mut().get_mut::<SpanPairs>()
        {
            pairs.0.push_str(&fields.pairs);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut of_spans = String::new();
        let mut function = "-";
        // From the innermost span outwards; the first one stands for the function.
        for span in context.event_scope(event).into_iter().flatten() {
            if function == "-" {
                function = span.name();
            }
            if let Some(pairs) = span.extensions().get::<SpanPairs>() {
                of_spans.push_str(&pairs.0);
            }
        }
        let metadata = event.metadata();
        // Rendered once for all handlers, so that they show the same time and text.
        let (time, line) = (self.clock.now(), fields.into_line(&of_spans));
        if *metadata.level() == Level::ERROR {
            recent::record(time.strftime("%Y-%m-%d %H:%M:%S").to_string(), &line);
        }
        self.routes.log(&Record {
            time,
            level: *metadata.level(),
            target: metadata.target(),
            file: metadata.file().unwrap_or("-"),
            line: metadata.line().unwrap_or(0),
            function,
            message: &line,
        });
    }
}

//! Who does it: an actor and what the verb does to it.

use super::Lower;
use crate::case::diagnostic::Diagnostic;
use crate::case::file::{ActorArgs, SqlFile};
use crate::case::model::{Action, Scalar};
use crate::case::node::Place;

impl Lower<'_> {
    /// The one actor with its argument, and the options that the verb allows, in their order.
    pub(super) fn actor_args<const N: usize>(
        &mut self,
        args: ActorArgs,
        known: [&str; N],
        place: Place<'_>,
    ) -> Option<(String, Scalar, [Option<Scalar>; N])> {
        let (mut options, actors): (Vec<_>, Vec<_>) =
            args.0.into_iter().partition(|(key, _)| known.contains(&key.as_str()));
        let mut actors = actors.into_iter();
        match (actors.next(), actors.next()) {
            (Some((actor, value)), None) => {
                let options = known.map(|name| {
                    let index = options.iter().position(|(key, _)| key == name)?;
                    Some(options.swap_remove(index).1)
                });
                Some((actor, value, options))
            }
            (None, _) => {
                self.error(Diagnostic::new("no actor is named").at(place.key_span()));
                None
            }
            (Some(_), Some((second, _))) => {
                let diagnostic = Diagnostic::new(format!("unknown option `{second}`: a step has one actor"));
                self.error(diagnostic.at(place.get(&second).key_span()).suggest(&second, known));
                None
            }
        }
    }

    /// A statement of the harness, or of one stranger.
    pub(super) fn sql(&mut self, sql: SqlFile, place: Place<'_>) -> Option<Action> {
        let statements = match sql {
            SqlFile::Plain(statement) => {
                return Some(Action::Sql { actor: None, statement: Scalar(statement.into()) });
            }
            SqlFile::As(statements) => statements,
        };
        let mut statements = statements.into_iter();
        match (statements.next(), statements.next()) {
            (Some((actor, statement)), None) => {
                Some(Action::Sql { actor: Some(actor), statement: Scalar(statement.into()) })
            }
            (Some(_), Some((second, _))) => {
                let message = format!("one speaks at a time: `{second}` is a second one");
                let help = "make several steps of it";
                self.error(Diagnostic::new(message).at(place.get(&second).key_span()).help(help));
                None
            }
            (None, _) => {
                self.error(Diagnostic::new("`sql` without a statement").at(place.key_span()));
                None
            }
        }
    }
}

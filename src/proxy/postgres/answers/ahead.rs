//! What is known of statements before they are answered.

use super::Answers;
use super::asked::Asked;
use super::statement::Statement;

impl Answers {
    /// The classes of statements that have no answer yet, as far as they are known, and when they were sent.
    pub fn under_way(&self) -> Vec<(usize, u64)> {
        let mut found = Vec::new();
        for asked in &self.asked {
            match asked {
                Asked::Query(statements, answered, at) => {
                    let waiting = statements.iter().skip(*answered).filter_map(|statement| self.class(statement));
                    found.extend(waiting.map(|class| (class, *at)));
                }
                Asked::Execute(portal, at) => {
                    found.extend(self.promised(portal).and_then(|one| self.class(one)).map(|class| (class, *at)));
                }
                _ => {}
            }
        }
        found
    }

    /// Whether what was sent last is a COMMIT, or has one in it.
    pub fn commits(&self) -> bool {
        match self.asked.back() {
            Some(Asked::Query(statements, answered, _)) => {
                statements.iter().skip(*answered).any(|statement| self.counts.commits(statement))
            }
            Some(Asked::Execute(portal, _)) => {
                self.promised(portal).is_some_and(|statement| self.counts.commits(statement))
            }
            _ => false,
        }
    }

    /// What a portal will be when the server has read everything that was sent.
    fn promised(&self, portal: &[u8]) -> Option<&Statement> {
        let mut sent = self.asked.iter().rev();
        let bound = sent.find_map(|asked| match asked {
            Asked::Bind { portal: name, statement, .. } if name == portal => Some(statement),
            _ => None,
        });
        let Some(bound) = bound else { return self.portals.get(portal) };
        let parsed = sent.find_map(|asked| match asked {
            Asked::Parse(name, statement, _) if name == bound => Some(statement),
            _ => None,
        });
        parsed.or_else(|| self.statements.get(bound))
    }
}

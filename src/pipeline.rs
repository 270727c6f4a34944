//! The story, on one screen: event → object → key → route → job → outcome.

use std::sync::Arc;

use crate::cloud::{Clock, Deadline, Objects, Warehouse};
use crate::event::{self, Created, Notice, Receipt};
use crate::job::drive::Driver;
use crate::job::load::Load;
use crate::key::{self, KeyMeaning};
use crate::object::{Object, ObjectError, ObjectRef};
use crate::outcome::record::Known;
use crate::outcome::{Ignored, Outcome, StepError};
use crate::route::{Decision, Mappings};

/// The six steps over the two clouds.
pub struct Pipeline {
    objects: Arc<dyn Objects>,
    driver: Driver,
}

impl Pipeline {
    /// A pipeline that reads from `objects` and loads into `warehouse`.
    pub fn new(objects: Arc<dyn Objects>, warehouse: Arc<dyn Warehouse>, clock: Arc<dyn Clock>) -> Self {
        Self { driver: Driver::new(warehouse, Arc::clone(&objects), clock), objects }
    }

    /// Takes one object of one message from its event to its outcome. `known` gathers what is learned on the
    /// way, so that it can be told even if the future is dropped at its deadline.
    ///
    /// # Errors
    /// [`StepError`]: what keeps the rows from being in, or from being known to be in.
    pub async fn run(
        &self,
        notice: &Notice,
        receipt: &Receipt,
        mappings: &Mappings,
        deadline: Deadline,
        known: &mut Known,
    ) -> Result<Outcome, StepError> {
        // 1. event: what happened.
        let created = match notice {
            Notice::Created(created) => created,
            Notice::Ignored(event) => return Ok(Ignored::quietly(event.code(), event.reason()).into()),
        };
        known.object = Some(created.object.clone());
        known.landed_at_ms = created.landed_at_ms;

        // 3. key, before 2: what no mapping names is refused before S3 is touched.
        let landing = mappings.landing(&created.object.bucket, &created.object.key)?;
        refuse_copy(created, landing.allows_copies())?;
        let key = match key::parse(&created.object.key, landing.layout())? {
            KeyMeaning::Data(key) => known.key.insert(key),
            KeyMeaning::Ignored(key) => return Ok(Ignored::quietly(key.code(), key.reason()).into()),
        };

        // 4. route: where its rows go.
        let route = match landing.resolve(key)? {
            Decision::Load(route) => known.route.insert(route),
            Decision::Exclude { rule } => {
                return Ok(Ignored::quietly("route.excluded", format!("excluded by {rule}")).into());
            }
        };

        // 2. object: exactly which bytes.
        let object = known.identified.insert(self.identify(&created.object).await?);

        // 5. job: loaded once, whoever asks.
        let settled = self.driver.settle(&Load { object, key, route, receipt, deadline }).await?;

        // 6. outcome.
        Ok(Outcome::Loaded(settled))
    }

    /// Learns the etag where the event has none; that costs a HEAD.
    async fn identify(&self, object: &ObjectRef) -> Result<Object, ObjectError> {
        let named = |etag| Object::new(&object.bucket, &object.key, etag, object.version_id.clone());
        match &object.etag {
            Some(etag) => Ok(named(etag.clone())),
            None => {
                let head = self.objects.head(object).await.map_err(|e| ObjectError::unheard(object, e))?;
                Ok(named(head.etag))
            }
        }
    }
}

/// Reads a message's body.
///
/// # Errors
/// [`StepError::Event`] if the body as a whole cannot be understood; a record that cannot is its own error.
pub fn notices(body: &str) -> Result<Vec<Result<Notice, StepError>>, StepError> {
    let notices = event::read(body)?;
    Ok(notices.into_iter().map(|notice| notice.map_err(StepError::from)).collect())
}

fn refuse_copy(created: &Created, copies_allowed: bool) -> Result<(), ObjectError> {
    if created.copied && !copies_allowed {
        return Err(ObjectError::Copied { object: created.object.to_string() });
    }
    Ok(())
}

//! Which of several tasks write to the endpoints that were given.

use super::remark::{Level, Remark, Told};
use super::{Endpoint, Task};

/// Tasks, parted by where they write.
#[derive(Debug)]
pub struct ByTarget {
    /// Those that write to the endpoints, and those that do not say.
    pub here: Vec<Task>,
    /// Those that write elsewhere.
    pub elsewhere: Vec<Task>,
    /// What to say of the latter.
    pub remarks: Vec<Remark>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{task} writes to another endpoint ({theirs}) than {given}, and was left out{}", if *none_is_left { ": none is left to compare" } else { "" })]
struct AnotherEndpoint {
    task: String,
    theirs: String,
    given: String,
    none_is_left: bool,
}

/// Parts the tasks by their endpoint's ARN, where they and all endpoints have one.
pub fn by_target(tasks: Vec<Task>, endpoints: &[Endpoint]) -> ByTarget {
    let arns: Option<Vec<&str>> = endpoints.iter().map(Endpoint::arn).collect();
    let Some(arns) = arns.filter(|arns| !arns.is_empty()) else {
        return ByTarget { here: tasks, elsewhere: Vec::new(), remarks: Vec::new() };
    };
    let is_here = |task: &Task| task.target_arn.as_deref().is_none_or(|arn| arns.contains(&arn));
    let (here, elsewhere): (Vec<Task>, Vec<Task>) = tasks.into_iter().partition(is_here);
    let given: Vec<&str> = endpoints.iter().map(Endpoint::name).collect();
    let remark = |task: &Task| {
        let told = AnotherEndpoint {
            task: task.identifier.as_ref().map_or("the task".to_owned(), |name| format!("task {name}")),
            theirs: task.target_arn.clone().unwrap_or_default(),
            given: given.join(", "),
            none_is_left: here.is_empty(),
        };
        Remark::new(&task.file, format!("{}.TargetEndpointArn", task.path), &told)
    };
    let remarks = elsewhere.iter().map(remark).collect();
    ByTarget { here, elsewhere, remarks }
}

impl Told for AnotherEndpoint {
    fn level(&self) -> Level {
        if self.none_is_left { Level::Error } else { Level::Warning }
    }

    fn code(&self) -> &'static str {
        "dms.another_endpoint"
    }

    fn remedy(&self) -> String {
        "give the tasks of this endpoint: `aws dms describe-replication-tasks --filters Name=endpoint-arn,Values=…`; or \
         that task's endpoint as well (`--endpoint` once more)"
            .to_owned()
    }
}

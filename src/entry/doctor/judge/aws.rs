//! Our credentials for AWS.

use crate::entry::doctor::facts::{Account, Look};
use crate::entry::doctor::finding::{Finding, Hop};

pub(super) fn judge(aws: &Look<Account>) -> Vec<Finding> {
    let finding = match aws {
        Look::Seen(seen) => {
            let assumed = if seen.region_is_assumed { ", since no AWS_REGION is set" } else { "" };
            Finding::fine(Hop::Aws, &seen.account, format!("{} in {}{assumed}", seen.arn, seen.region))
        }
        Look::NotLooked(why) => Finding::not_looked(Hop::Aws, "", why),
        Look::Failed(failure) => {
            let allow = "Sign in: `aws sso login`, `aws configure`, or AWS_PROFILE; `aws sts get-caller-identity` must answer. \
                         An expired session looks the same.";
            Finding::failed(Hop::Aws, "", failure, allow, allow)
        }
    };
    vec![finding]
}

//! The buckets: can they be read below each mapped prefix, and whom do they tell of new objects?

use super::notification;
use crate::entry::doctor::facts::{BucketSeen, Facts, Look, PrefixSeen};
use crate::entry::doctor::finding::{Finding, Findings, Hop};

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    match &facts.buckets {
        Look::Seen(buckets) => buckets.iter().flat_map(|bucket| of_bucket(facts, bucket)).collect(),
        Look::NotLooked(why) => vec![Finding::not_looked(Hop::Bucket, "", why)],
        Look::Failed(failure) => vec![Finding::failed(Hop::Bucket, "", failure, ALLOW_READ, MISSING)],
    }
}

const ALLOW_READ: &str = "Let your AWS identity s3:ListBucket on the bucket and s3:GetObject below the prefix (and kms:Decrypt on \
                          its key, if it has one). The function's role needs the same.";
const MISSING: &str =
    "There is no such bucket: mend \"bucket\" in the mapping's `source`, or make the bucket.";

fn of_bucket(facts: &Facts, bucket: &BucketSeen) -> Vec<Finding> {
    let mut found: Vec<Finding> =
        bucket.prefixes.iter().flat_map(|prefix| of_prefix(bucket, prefix)).collect();
    match &bucket.notification {
        Look::Seen(notification) => {
            let of_prefix = |prefix| notification::judge(facts, bucket, prefix, notification);
            found.extend(bucket.prefixes.iter().flat_map(of_prefix));
        }
        Look::NotLooked(why) => found.push(Finding::not_looked(Hop::Notification, &bucket.bucket, why)),
        Look::Failed(failure) => {
            let allow = "Let your AWS identity s3:GetBucketNotification on the bucket.";
            found.push(Finding::failed(Hop::Notification, &bucket.bucket, failure, allow, MISSING));
        }
    }
    found
}

fn of_prefix(bucket: &BucketSeen, prefix: &PrefixSeen) -> Vec<Finding> {
    let address = bucket.address(prefix);
    let listing = match &prefix.listing {
        Look::Seen(listing) => listing,
        Look::NotLooked(why) => return vec![Finding::not_looked(Hop::Bucket, address, why)],
        Look::Failed(failure) => {
            return vec![Finding::failed(Hop::Bucket, address, failure, ALLOW_READ, MISSING)];
        }
    };
    let mut findings = Findings::of(Hop::Bucket, &address);
    let read = match &prefix.object {
        Look::Seen(key) => key,
        Look::Failed(failure) => {
            return vec![Finding::failed(
                Hop::Bucket,
                &address,
                failure,
                ALLOW_READ,
                "Run doctor again: the object was deleted meanwhile.",
            )];
        }
        Look::NotLooked(_) if listing.object_count == 0 => {
            findings.warn(
                "doctor.prefix_empty",
                "it can be listed, and there is nothing in it",
                "Fine if DMS has not begun. Otherwise compare `bucket_folder` in the mapping with BucketFolder in the endpoint's settings.",
            );
            return findings.or_fine("");
        }
        Look::NotLooked(why) => return vec![Finding::not_looked(Hop::Bucket, address, why)],
    };
    findings.or_fine(format!("can be listed, and {read} can be read"))
}

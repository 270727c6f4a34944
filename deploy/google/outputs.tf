# Named as the parameters of template.yaml and serverless.yml, which take them as they are.

output "GoogleProvider" {
  description = "The provider that the function signs in by (DMS2BQ_GOOGLE_PROVIDER)."
  value       = google_iam_workload_identity_pool_provider.aws.name
}

output "GoogleServiceAccount" {
  description = "The service account that it then acts as (DMS2BQ_GOOGLE_SERVICE_ACCOUNT); empty if none."
  value       = local.acts_as_account ? google_service_account.loader[0].email : ""
}

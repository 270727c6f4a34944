# Signing in to Google from AWS without a key: who may, as whom, and what they may do then.
# The same as a list of gcloud commands: docs/deploying.md, "Google, without a key".

data "google_project" "this" {
  project_id = var.project

  # Its number comes from the Resource Manager, which a new project has switched off.
  depends_on = [google_project_service.needed]
}

locals {
  # How AWS calls a role that somebody acts as.
  role_arns = [for name in var.aws_role_names : "arn:aws:sts::${var.aws_account_id}:assumed-role/${name}"]

  pool = "projects/${data.google_project.this.number}/locations/global/workloadIdentityPools/${google_iam_workload_identity_pool.this.workload_identity_pool_id}"

  # What Google calls everybody who signs in as one of these roles.
  federated = tomap({ for arn in local.role_arns : arn => "principalSet://iam.googleapis.com/${local.pool}/attribute.aws_role/${arn}" })

  acts_as_account = var.service_account_id != ""

  # Who loads: the service account, or the AWS roles themselves. The keys are known before anything is made.
  loaders = local.acts_as_account ? tomap({ account = "serviceAccount:${google_service_account.loader[0].email}" }) : local.federated

  projects = toset([for each in var.datasets : each.project])

  dataset_grants = { for grant in flatten([
    for each in var.datasets : [for key in keys(local.loaders) : { project = each.project, dataset = each.dataset, loader = key }]
  ]) : "${grant.project}.${grant.dataset}/${grant.loader}" => grant }

  project_grants = { for grant in flatten([
    for project in local.projects : [for key in keys(local.loaders) : { project = project, loader = key }]
  ]) : "${grant.project}/${grant.loader}" => grant }
}

resource "google_project_service" "needed" {
  for_each = toset([
    "bigquery.googleapis.com", "cloudresourcemanager.googleapis.com", "iam.googleapis.com", "iamcredentials.googleapis.com",
    "sts.googleapis.com",
  ])

  project            = var.project
  service            = each.key
  disable_on_destroy = false
}

resource "google_iam_workload_identity_pool" "this" {
  project                   = var.project
  workload_identity_pool_id = var.pool_id
  display_name              = "dms2bq"
  description               = "AWS roles that load DMS files into BigQuery"

  depends_on = [google_project_service.needed]
}

resource "google_iam_workload_identity_pool_provider" "aws" {
  project                            = var.project
  workload_identity_pool_id          = google_iam_workload_identity_pool.this.workload_identity_pool_id
  workload_identity_pool_provider_id = var.provider_id
  display_name                       = "dms2bq in AWS"

  aws {
    account_id = var.aws_account_id
  }

  # The subject is the role's name alone. The whole ARN, which is Google's default, ends in the function's name, and is refused
  # above 127 bytes.
  attribute_mapping = {
    "google.subject"     = "assertion.arn.extract('assumed-role/{role}/')"
    "attribute.aws_role" = "assertion.arn.extract('{account}assumed-role/') + 'assumed-role/' + assertion.arn.extract('assumed-role/{role}/')"
  }

  # Without it every role of the account could sign in.
  attribute_condition = "attribute.aws_role in [${join(", ", [for arn in local.role_arns : "'${arn}'"])}]"
}

resource "google_service_account" "loader" {
  count = local.acts_as_account ? 1 : 0

  project      = var.project
  account_id   = var.service_account_id
  display_name = "dms2bq"
  description  = "Loads DMS files into BigQuery. Has no keys: AWS roles act as it."

  depends_on = [google_project_service.needed]
}

resource "google_service_account_iam_member" "acts_as" {
  for_each = local.acts_as_account ? local.federated : tomap({})

  service_account_id = google_service_account.loader[0].name
  role               = "roles/iam.workloadIdentityUser"
  member             = each.value
}

# Creating and filling tables, reading what they look like: in these datasets, and in no other.
resource "google_bigquery_dataset_iam_member" "fills" {
  for_each = local.dataset_grants

  project    = each.value.project
  dataset_id = each.value.dataset
  role       = "roles/bigquery.dataEditor"
  member     = local.loaders[each.value.loader]
}

# Making load jobs, which run in the destination's project.
resource "google_project_iam_member" "makes_jobs" {
  for_each = local.project_grants

  project = each.value.project
  role    = "roles/bigquery.jobUser"
  member  = local.loaders[each.value.loader]
}

# Reading jobs that another account made, such as a person's `dms2bq load`: job ids are the ledger.
resource "google_project_iam_custom_role" "job_reader" {
  for_each = local.projects

  project     = each.key
  role_id     = var.job_reader_role_id
  title       = "dms2bq: read load jobs"
  description = "Reads the records of BigQuery jobs, which say what is loaded."
  permissions = ["bigquery.jobs.get"]
}

resource "google_project_iam_member" "reads_jobs" {
  for_each = local.project_grants

  project = each.value.project
  role    = google_project_iam_custom_role.job_reader[each.value.project].id
  member  = local.loaders[each.value.loader]
}

variable "project" {
  description = "The Google project that holds the pool, the provider and the service account, by its id (not its number)."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "Give the project's id, such as acme-dw. Its number is found out from that."
  }
}

variable "aws_account_id" {
  description = "The AWS account in which dms2bq runs: twelve digits, as a string."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.aws_account_id))
    error_message = "Give the twelve digits of the AWS account, in quotes, so that a zero in front is kept."
  }
}

variable "aws_role_names" {
  description = "The names of the AWS roles that may sign in: the last part of the stack's output RoleArn. One, unless several stacks load."
  type        = list(string)

  validation {
    condition     = length(var.aws_role_names) > 0 && alltrue([for name in var.aws_role_names : can(regex("^[A-Za-z0-9+=,.@_-]{1,64}$", name))])
    error_message = "Give at least one role by its name alone, without arn:aws:iam::… and without a path."
  }
}

variable "datasets" {
  description = "The datasets that the mappings name, which must exist. Load jobs run in the projects that these are in."
  type = list(object({
    project = string
    dataset = string
  }))

  validation {
    condition     = length(var.datasets) > 0 && alltrue([for each in var.datasets : can(regex("^[A-Za-z0-9_]{1,1024}$", each.dataset))])
    error_message = "Give at least one dataset; its name has letters, digits and underscores only."
  }
}

variable "pool_id" {
  description = "The id of the workload identity pool to make. One that was deleted keeps its id for 30 days."
  type        = string
  default     = "dms2bq"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,30}[a-z0-9]$", var.pool_id)) && !startswith(var.pool_id, "gcp-")
    error_message = "4 to 32 lower-case letters, digits and hyphens, a letter first, and not gcp- at the beginning."
  }
}

variable "provider_id" {
  description = "The id of the provider to make in that pool."
  type        = string
  default     = "aws-lambda"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,30}[a-z0-9]$", var.provider_id)) && !startswith(var.provider_id, "gcp-")
    error_message = "4 to 32 lower-case letters, digits and hyphens, a letter first, and not gcp- at the beginning."
  }
}

variable "service_account_id" {
  description = "The service account to make and to act as: the part before the @. Empty: the AWS role has the datasets' rights itself."
  type        = string
  default     = "dms2bq-loader"

  validation {
    condition     = var.service_account_id == "" || can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.service_account_id))
    error_message = "6 to 30 lower-case letters, digits and hyphens, a letter first; or empty."
  }
}

variable "job_reader_role_id" {
  description = "The id of the custom role to make in each project, which allows reading load jobs and nothing else."
  type        = string
  default     = "dms2bqJobReader"

  validation {
    condition     = can(regex("^[A-Za-z0-9_.]{3,64}$", var.job_reader_role_id))
    error_message = "3 to 64 letters, digits, underscores and dots."
  }
}

# An image for agents and controller with everything installed, so that machines start in seconds rather than minutes.
#
#   runner-controller deploy                                   # once, so that the bundle is in the bucket
#   packer plugins install github.com/hashicorp/amazon         # Packer 1.10 and later; older ones have it
#   packer build -var region=us-east-1 -var bundle=s3://BUCKET/deploy/HASH -var profile=PROFILE ami/runner.pkr.hcl
#
# then name the image in fleet.deployment.image and deploy again. At its first start a machine still installs the program
# that was deployed last: an old image is slower, never wrong.

variable "region" {
  type = string
}

variable "bundle" {
  type        = string
  description = "What `deploy` stored: s3://BUCKET/deploy/HASH."
}

variable "profile" {
  type        = string
  description = "An instance profile that may read the bundle; the agents' will do."
}

variable "arm" {
  type    = bool
  default = false
}

variable "pull" {
  type        = list(string)
  default     = []
  description = "Container images to have on it."
}

variable "subnet" {
  type        = string
  default     = null
  description = "One that reaches the internet; the default VPC's, if not given."
}

locals {
  debian  = var.arm ? "debian-12-arm64-*" : "debian-12-amd64-*"
  name    = var.arm ? "runner-arm64" : "runner-amd64"
  machine = var.arm ? "t4g.small" : "t3.small"
  stamp   = formatdate("YYYYMMDD-hhmmss", timestamp())
}

source "amazon-ebs" "debian" {
  region                      = var.region
  instance_type               = local.machine
  iam_instance_profile        = var.profile
  subnet_id                   = var.subnet
  associate_public_ip_address = true
  ssh_username                = "admin"
  ami_name                    = "${local.name}-${local.stamp}"
  ami_description             = "Machines of a fleet: Docker, agent, controller"
  encrypt_boot                = true

  source_ami_filter {
    owners      = ["136693071363"] # Debian
    most_recent = true
    filters = {
      name                = local.debian
      virtualization-type = "hvm"
      root-device-type    = "ebs"
    }
  }

  run_tags = { Name = "${local.name}-build" }
  tags     = { Name = local.name }
}

build {
  sources = ["source.amazon-ebs.debian"]

  provisioner "shell" {
    inline = ["cloud-init status --wait || true"]
  }

  provisioner "shell" {
    script          = "${path.root}/provision.sh"
    execute_command = "chmod +x {{ .Path }}; sudo env {{ .Vars }} {{ .Path }}"
    environment_vars = [
      "RUNNER_PART=image",
      "RUNNER_REGION=${var.region}",
      "RUNNER_BUNDLE=${var.bundle}",
    ]
  }

  provisioner "shell" {
    inline = concat(
      [for image in var.pull : "sudo docker pull --quiet ${image}"],
      # A machine made of the image is a new one, with settings of its own.
      ["sudo rm -f /etc/runner/runner.yaml /etc/runner/environment", "sudo cloud-init clean --logs"],
    )
  }
}

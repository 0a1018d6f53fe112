# The calls to AWS, for build_and_push.sh, which sources this file. A failure prints one sentence with the remedy.
# shellcheck shell=bash disable=SC2034,SC2154  # the caller owns region, registry, docker, digest and dry_run

fail() { echo "push: $1" >&2; exit 1; }

# Calls AWS and puts the answer into $reply. Returns 1 if the resource does not exist, with the reason in $error.
ask() {
  local errors
  errors=$(mktemp)
  if reply=$(aws --region "$region" --output text "$@" 2> "$errors"); then rm -f "$errors"; return 0; fi
  error=$(tr '\n' ' ' < "$errors")
  rm -f "$errors"
  case "$error" in
    *NotFound*) return 1 ;;
    *"locate credentials"* | *"could not be found"*) fail "no AWS credentials are set; run aws configure, or set AWS_PROFILE to a profile that exists" ;;
    *ExpiredToken* | *InvalidClientTokenId* | *UnrecognizedClient* | *"Token has expired"*) fail "AWS no longer accepts these credentials; renew them with aws sso login or aws configure" ;;
    *AccessDenied* | *"not authorized"*) fail "these credentials do not permit '$1 $2'; ask for the permission $1:$(permission "$2")" ;;
    *"connect to the endpoint"* | *"Invalid endpoint"* | *"region_name"*) fail "AWS does not answer in region '$region'; correct --region, or look at the network and its proxy" ;;
    *) fail "aws $1 $2 failed: ${error# }" ;;
  esac
}

# The IAM action of a command: create-repository -> CreateRepository
permission() { echo "$1" | awk -F- '{for (i = 1; i <= NF; i++) printf "%s%s", toupper(substr($i, 1, 1)), substr($i, 2)}'; }

find_account() {
  command -v aws > /dev/null || fail "the AWS command line is not installed; install it (pip install awscli), or name another registry with REGISTRY"
  region=${region:-${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}}
  [ -n "$region" ] || fail "no AWS region is set; pass one, for example --region eu-west-1, or set AWS_REGION"
  [[ $region =~ ^[a-z]{2}(-[a-z]+)+-[0-9]+$ ]] || fail "'$region' is not an AWS region; pass one like --region eu-west-1"
  ask sts get-caller-identity --query Account
  account=$reply
}

# Creates the repository if it is missing. Tags are immutable except latest; every push is scanned; untagged images expire.
make_repository() {
  if ask ecr describe-repositories --repository-names "$1" --query 'repositories[0].repositoryUri'; then return; fi
  say "create the repository $1 in $region"
  [ -z "$dry_run" ] || return 0
  ask ecr create-repository --repository-name "$1" --image-scanning-configuration scanOnPush=true \
    --image-tag-mutability IMMUTABLE_WITH_EXCLUSION --image-tag-mutability-exclusion-filters 'filterType=WILDCARD,filter=latest*'
  ask ecr put-lifecycle-policy --repository-name "$1" --lifecycle-policy-text '{"rules": [{"rulePriority": 1,
    "description": "images without a tag go after 14 days", "selection": {"tagStatus": "untagged",
    "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14}, "action": {"type": "expire"}}]}'
}

# Logs Docker in. The password goes through a pipe and is never printed.
log_in() {
  say "log in to $registry"
  [ -z "$dry_run" ] || return 0
  ask ecr get-login-password
  local answer
  answer=$(printf '%s' "$reply" | "$docker" login --username AWS --password-stdin "$registry" 2>&1 > /dev/null) || case "$answer" in
    *401* | *nauthorized* | *denied*) fail "the registry $registry refused AWS's password; check the account and the region" ;;
    *) fail "Docker could not log in to $registry: $(echo "$answer" | tail -n 1)" ;;
  esac
}

# Succeeds if the tag in the repository already names this image. If it names another image, that is an error, because tags are immutable.
holds() {
  ask ecr batch-get-image --repository-name "$1" --image-ids "imageTag=$2" --query 'images[0].[imageId.imageDigest, imageManifest]' || return 1
  case "$reply" in
    None | "") return 1 ;;
    *"$3"*) digest=${reply%%[[:space:]]*} ;;
    *) fail "$1:$2 names another image already, and tags cannot be changed; raise the version in classifier/__init__.py, or pass another --tag" ;;
  esac
}

#!/usr/bin/env bash
# Builds the images, pushes them to the account's ECR (or another registry) and writes their digests to images.json.
#   ./build_and_push.sh [train|serve|all] [--device cuda|cpu] [--tag T] [--region R] [--dry-run]
# Each image gets three tags: the version (or T), the git revision, and latest. The tags of CPU images end in -cpu. With
# uncommitted changes, --tag T is required, T must not look like a release, and T is the only tag.
# Variables, in addition to those of docker/build.sh:
#   REGISTRY      another registry, as host[:port][/folder]. Docker must be logged in there; AWS is not called
#   ECR_REGISTRY  another host name for the account's own ECR
set -euo pipefail
cd "$(dirname "$0")"
what=all device=cuda tag="" region="" dry_run=""
# shellcheck source=docker/ecr.sh
. docker/ecr.sh
say() { echo "push: ${dry_run:+would }$1"; }

while [ $# -gt 0 ]; do
  case "$1" in
    train | serve | all) what=$1 ;;
    --dry-run) dry_run=1 ;;
    --device | --tag | --region)
      [ -n "${2:-}" ] || fail "$1 needs a value"
      declare "${1#--}=$2"
      shift ;;
    --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) fail "'$1' is not an option; write [train|serve|all] [--device cuda|cpu] [--tag T] [--region R] [--dry-run]" ;;
  esac
  shift
done
[ "$what" != all ] || what="train serve"
case "$device" in cuda | cpu) ;; *) fail "--device '$device' is unknown; write cuda or cpu" ;; esac
suffix=""
[ "$device" = cuda ] || suffix=-cpu
[[ -z $tag || $tag =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] || fail "--tag '$tag' is not a tag; use letters, digits, '.', '_' and '-'"

version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' classifier/__init__.py)
revision=$(git rev-parse --short=12 HEAD 2> /dev/null) || fail "this folder is not a git repository, so the images could not record their revision; clone the project with git"
tags="${tag:-$version$suffix} $revision$suffix latest$suffix"
if [ -n "$(git status --porcelain)" ]; then
  [[ -n $tag && ! $tag =~ ^v?[0-9]+\.[0-9] ]] ||
    fail "there are uncommitted changes, so the tag ${tag:-$version} would not identify the code in the image; commit them, or pass a tag such as --tag try"
  tags=$tag revision=$revision-dirty
fi

docker=$(docker/cli.sh) || exit 1
docker/running.sh "$docker"
if [ -n "${REGISTRY:-}" ]; then
  registry=$REGISTRY
else
  find_account
  domain=amazonaws.com
  [[ $region != cn-* ]] || domain=amazonaws.com.cn
  registry=${ECR_REGISTRY:-$account.dkr.ecr.$region.$domain}
fi

# Pushes one tag and leaves the image's digest in $digest.
push() {
  local answer
  "$docker" tag "$1" "$2"
  answer=$("$docker" push "$2" 2>&1) || case "$answer" in
    *"no basic auth"* | *nauthorized* | *denied*) fail "the registry of $2 requires a login with permission to push; run docker login ${registry%%/*}, or correct REGISTRY" ;;
    *"no such host"* | *refused* | *timeout* | *"no route"*) fail "the registry ${registry%%/*} cannot be reached; correct REGISTRY or the region, or look at the network and its proxy" ;;
    *immutable*) fail "$2 exists with another image and cannot be overwritten; pass another --tag" ;;
    *"no space left"*) fail "no disk space is left for $2; free some, for example with docker system prune" ;;
    *) fail "$2 was not pushed: $(echo "$answer" | tail -n 1)" ;;
  esac
  digest=$(echo "$answer" | sed -n 's/^.*digest: \(sha256:[0-9a-f]*\).*$/\1/p')
}

if [ -z "${REGISTRY:-}" ]; then
  for program in $what; do make_repository "byoc-classifier-$program"; done
  log_in
fi
for program in $what; do
  say "build byoc-classifier-$program:$device"
  [ -n "$dry_run" ] || docker/build.sh "$program" "$device"
done
for program in $what; do
  repository=byoc-classifier-$program
  if [ -n "$dry_run" ]; then
    say "push $registry/$repository with the tags $tags, and write its digest to images.json"
    continue
  fi
  image=$("$docker" image inspect --format '{{.Id}}' "$repository:$device")
  for name in $tags; do
    if [ -z "${REGISTRY:-}" ] && [[ $name != latest* ]] && holds "$repository" "$name" "$image"; then
      echo "push: $repository:$name exists already"
      continue
    fi
    push "$repository:$device" "$registry/$repository:$name"
    echo "push: $registry/$repository:$name $digest"
  done
  # shellcheck disable=SC2086  # tags are several words
  python3 docker/record.py "$program" images.json "$registry/$repository@$digest" "$digest" "$device" "$version" "$revision" $tags
done
[ -n "$dry_run" ] || echo "push: done, images.json holds the digests"

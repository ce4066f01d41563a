# git.sh: a history is written, repacked with threads, cloned, merged, searched and checked; every hash must come out alike.
# runs: git
# limit: 60 300
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_AUTHOR_DATE='2024-01-01T00:00:00Z'
export GIT_COMMITTER_NAME=c GIT_COMMITTER_EMAIL=c@example.org GIT_COMMITTER_DATE='2024-01-01T00:00:00Z'
commits=$([[ $SIZE == smoke ]] && echo 200 || echo 3000)

git init -q -b main origin
for ((i = 1; i <= commits; i++)); do
    echo "commit refs/heads/main"
    echo "committer c <c@example.org> $((1700000000 + i)) +0000"
    message="change $i"
    printf 'data %d\n%s\n' ${#message} "$message"
    body=$(printf "line %d of $i\n" {1..40})
    printf 'M 100644 inline folder%d/file%d\ndata %d\n%s\n' $((i % 17)) $((i % 231)) ${#body} "$body"
done | git -C origin fast-import --quiet
git -C origin reset -q --hard
git -C origin -c pack.threads=4 repack -adfq --depth=50 --window=50
git clone -q --no-local origin copy
cd copy
git switch -q -c side HEAD~20
echo side >side.txt
git add side.txt
git commit -q -m side
git merge -q -m merged main
git log --stat -p | md5sum
git rev-parse HEAD HEAD^{tree}
git grep -c 'line 7 of' | sort | md5sum
git blame folder1/file1 | md5sum
git fsck --strict --no-progress
git -c gc.auto=0 gc -q --aggressive
git rev-list --objects --all | sort | md5sum

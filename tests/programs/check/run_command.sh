# run_command.sh: tools/run works from any folder, keeps stdout and exit code the program's own, and an existing LD_PRELOAD.
[[ $("$ROOT/tools/run" --print-lib) == "$ROOT/build/release/libbuddymalloc.so" ]]
[[ $("$ROOT/tools/run" echo one 'two  three') == 'one two  three' ]]
status=0
"$ROOT/tools/run" sh -c 'exit 7' || status=$?
((status == 7))
BUDDYMALLOC_VERBOSE=1 "$ROOT/tools/run" true 2>&1 | grep -q '^buddymalloc'
cp "$LIB" other.so
[[ $(LD_PRELOAD=$PWD/other.so "$ROOT/tools/run" printenv LD_PRELOAD) == "$ROOT/build/release/libbuddymalloc.so:$PWD/other.so" ]]
[[ $(echo input | "$ROOT/tools/run" cat) == input ]]
# Two at once share one build.
"$ROOT/tools/run" --print-lib >a &
"$ROOT/tools/run" --print-lib >b
wait $!
cmp a b
echo 'stdout, exit code, stdin and LD_PRELOAD are kept'

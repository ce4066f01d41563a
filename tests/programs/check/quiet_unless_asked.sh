# quiet_unless_asked.sh: nothing is printed by default; BUDDYMALLOC_VERBOSE=1 says on stderr that the program runs on us.
LD_PRELOAD=$LIB /bin/echo hello >out 2>err
[[ $(<out) == hello && ! -s err ]]
BUDDYMALLOC_VERBOSE=1 LD_PRELOAD=$LIB /bin/echo hello >out 2>err
[[ $(<out) == hello ]]
grep -q '^buddymalloc' err
# A program that closed its descriptors may use number 2 for its own file: nothing may be written there blindly.
BUDDYMALLOC_VERBOSE=1 LD_PRELOAD=$LIB bash -c 'exec /bin/true' 2>&-
cat err

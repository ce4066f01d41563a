# python3-malloc.sh: the same with every object from malloc, as CPython has it in PYTHONMALLOC=malloc.
# needs: python3
export PYTHONMALLOC=malloc
. "${0%-malloc.sh}.sh"

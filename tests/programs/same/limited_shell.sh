# limited_shell.sh: a shell with 64 MiB of address space, the limit small machines and graders set, still runs ls and bc.
# runs: dash ls bc
dash -c '
ulimit -v 65536
ls -lR /usr/lib/python3.11/test/test_email
ls /usr/bin | sort | md5sum
echo "2^3000; scale=300; e(1); 4*a(1)" | bc -l'

# needed_libraries.sh: the shared object needs libc, at most the loader besides, and at most 64 bytes of initial-exec TLS.
readelf -dW "$LIB" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort >needed
grep -qx 'libc.so.6' needed
! grep -vxE 'libc\.so\.6|ld-linux.*\.so\.[0-9]' needed
tls=$(($(readelf -lW "$LIB" | awk '$1 == "TLS" { print $6 }')))
((tls <= 64))
# Without the flag every access would be a call, and malloc inside such a call could recurse.
((tls == 0)) || readelf -dW "$LIB" | grep -q STATIC_TLS
echo "$(paste -sd' ' needed), $tls bytes of TLS"

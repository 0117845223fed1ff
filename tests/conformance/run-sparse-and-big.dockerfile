FROM kilnbase:1
RUN dd if=/dev/zero of=/sparse bs=1 count=1 seek=3000000 2>/dev/null && echo end >> /sparse
RUN dd if=/dev/zero of=/zeros bs=1M count=9 2>/dev/null
RUN i=0; while [ $i -lt 300 ]; do echo $i > /tmp/f$i; i=$((i+1)); done

FROM kilnbase:1
ENV abc=hello
ENV abc=bye def=$abc
ENV ghi=$abc
ENV path=/data/${def:-none} empty="" alt=${empty:+x} quoted="a b \"c\" $abc" single='$abc' esc=\$abc
WORKDIR $path
COPY plain.txt ${path}/x-$ghi
LABEL multi="$abc \
  line" version=${ghi}
EXPOSE ${port:-8080}
USER ${user:-www}

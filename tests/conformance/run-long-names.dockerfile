FROM kilnbase:1
RUN d=/long; for i in 1 2 3 4 5 6; do d=$d/directory-with-a-rather-long-name-number-$i; done; mkdir -p $d && echo deep > $d/file && ln -s $d /longlink
RUN touch "/name with spaces" "/ünïcödé" && n=$(printf '%0200d' 7) && touch /$n

FROM kilnbase:1
RUN echo 'single $HOME' "double $HOME" \$HOME \\ 'a\b' > /quotes
RUN echo "a\
b" 'c\
d' > /broken
RUN [ -d /etc ] && echo yes > /bracket
RUN [ "sh", "-c", "printf '%s|' \"$0\" 'a b' > /exec", "zero" ]
RUN ["sh", '-c', "single quotes are not JSON"] || echo shell > /fallback
RUN	echo	tabs	>	/tabs # not a comment for the builder
RUN X=1; echo ${X:-no} ${Y:-default} $((X + 1)) > /shell-expansion

# a comment

   # indented comment
FROM kilnbase:1

RUN echo a \

    b \
# dropped
    c > /abc
   ENV   SPACED=yes   

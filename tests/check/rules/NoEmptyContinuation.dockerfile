FROM scratch
COPY app \

     app2 \
     /bin/

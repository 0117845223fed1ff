FROM scratch
COPY app /
workdir /srv
Copy app2 /

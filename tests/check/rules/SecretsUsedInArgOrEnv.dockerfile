FROM scratch
ARG GITHUB_TOKEN
ENV NAME=app \
    API_KEY=none
ENV PUBLIC_KEY=abc TOKEN_FILE=/run/token
COPY app /

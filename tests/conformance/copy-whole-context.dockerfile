FROM kilnbase:1
WORKDIR /app
COPY . .

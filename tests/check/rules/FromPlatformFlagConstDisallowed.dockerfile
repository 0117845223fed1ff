FROM --platform=linux/amd64 scratch AS tools
FROM --platform=linux/arm64 scratch AS tools-arm64

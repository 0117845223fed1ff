# The Flask application. Without byte code, which has times in it, what pip writes is always the same.
FROM python:3-slim
ENV PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY flask/requirements.txt .
RUN pip install --no-cache-dir --no-compile -r requirements.txt
COPY flask/ .
EXPOSE 8000
CMD ["gunicorn", "app:app"]

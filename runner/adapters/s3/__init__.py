"""Logs and manifests in one S3 bucket: under `logs/` and `manifests/`.

Needs, of an agent: s3:PutObject and s3:AbortMultipartUpload on `logs/*`, s3:GetObject on `manifests/*`; of who submits:
s3:PutObject and s3:GetObject on `manifests/*`; of who reads logs: s3:GetObject on `logs/*`. Whoever reads also needs
s3:ListBucket on the bucket: without it S3 says "access denied" of an object that is not there.
"""

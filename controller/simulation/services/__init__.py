"""Services of AWS behind the port `runner.aws.Aws`, written from their documentation; each says what it leaves out."""

"""Rules between the members of a request that are not in the API's model.

Each rule names its source. "API" means the documentation in botocore's model, and "guide" means a page of SageMaker's developer guide. Each
rule is a function that gets a request with correct types and all required members, and yields a sentence for each problem.
"""

"""A fleet's resources on AWS: made, changed, looked after and removed. Two CloudFormation stacks, made of the settings.

names                 what belongs to a fleet is named and tagged so
site                  what a template needs to know beside the settings, and finding it out
storage_template      table, bucket and log groups: what outlives the machines
fleet_template        everything else: queues, rights, machines and alarms, each in a module of its own
compute_environments  what environments become on AWS Batch, and `job_queues` what queues do
policies              who may do what; of AWS Batch and Amazon EMR in modules of their own
bundle                what machines install: a wheel of this very program, and the settings
shipping              the bundle, in the bucket
stacks                change sets, and waiting for them
linked_roles          roles that AWS's services need and no stack can have
installing            `deploy`
losses                what a change of the stack would take along
removal               `destroy`: `batch_ending` for AWS Batch and Amazon EMR, `ending` for our own machines
remains               what there is that costs money
diagnosis             `doctor`, with what it looks at in modules of their own
"""

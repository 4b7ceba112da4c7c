# MMAction2's runtime, with the plugin and its hooks.
_base_ = ['mmaction::_base_/default_runtime.py']

custom_imports = dict(
    imports=['mmaction_memvit'], allow_failed_imports=False)
# StepSeedHook makes a resumed run, and one with validations in between, go on
# exactly as one without.
custom_hooks = [dict(type='MemoryBankHook'), dict(type='StepSeedHook')]

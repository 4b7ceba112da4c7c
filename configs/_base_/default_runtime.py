# MMAction2's runtime, with the plugin and its hook.
_base_ = ['mmaction::_base_/default_runtime.py']

custom_imports = dict(
    imports=['mmaction_memvit'], allow_failed_imports=False)
custom_hooks = [dict(type='MemoryBankHook')]

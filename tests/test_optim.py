import torch
from transformers import LlamaConfig, LlamaForCausalLM, TrainingArguments

from aji.optim import Muon, OptimizerArguments, muon_adamw


def build(tmp_path, **kwargs):
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
    )
    factory, settings = muon_adamw(
        OptimizerArguments(use_muon=True, **kwargs), TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    )
    return model, factory()(model, **settings)


def step(model, optimizer, seed):
    torch.manual_seed(seed)
    ids = torch.randint(0, 64, (2, 8))
    model(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def test_matrices_go_to_muon_and_the_rest_to_adamw(tmp_path):
    model, optimizer = build(tmp_path)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    muon = {names[id(p)] for group in optimizer.muon.param_groups for p in group["params"]}
    adamw = {names[id(p)] for group in optimizer.adamw.param_groups for p in group["params"]}
    assert len(muon) == 7 and all(name.endswith("proj.weight") for name in muon)
    assert muon | adamw == set(names.values()) and not muon & adamw
    assert {"model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"} <= adamw


def test_every_parameter_moves_and_the_schedule_reaches_both(tmp_path):
    model, optimizer = build(tmp_path)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5)
    step(model, optimizer, 0)
    scheduler.step()
    for name, parameter in model.named_parameters():
        assert not torch.equal(parameter, before[name]), f"{name} has not changed"
    assert [group["lr"] for group in optimizer.muon.param_groups] == [0.01]
    assert [group["lr"] for group in optimizer.adamw.param_groups] == [2.5e-5]


def test_matrices_taken_together_move_as_torch_moves_each_alone(tmp_path):
    shapes = [(24, 24), (16, 40), (40, 16), (24, 24), (40, 16)]
    for kwargs in ({}, {"nesterov": False}, {"adjust_lr_fn": "match_rms_adamw"}):
        torch.manual_seed(0)
        ours = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
        theirs = [torch.nn.Parameter(p.detach().clone()) for p in ours]
        kwargs |= {"lr": 0.02, "weight_decay": 0.1}
        optimizers = [(ours, Muon(ours, **kwargs)), (theirs, torch.optim.Muon(theirs, **kwargs))]
        for _ in range(3):
            gradients = [torch.randn(shape) for shape in shapes]
            for parameters, optimizer in optimizers:
                for index, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
                    parameter.grad = gradient.clone() if index else None  # one that got no gradient stays
                optimizer.step()
        for a, b in zip(ours, theirs, strict=True):
            # bfloat16 inside: the kernel for a batch may round otherwise.
            torch.testing.assert_close(a, b, rtol=0, atol=1e-4)


def test_saved_and_loaded_it_goes_on_exactly(tmp_path):
    straight, optimizer = build(tmp_path)
    for seed in range(4):
        step(straight, optimizer, seed)
    resumed, first = build(tmp_path)
    for seed in range(2):
        step(resumed, first, seed)
    torch.save(first.state_dict(), tmp_path / "optimizer.pt")
    training_args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    factory, settings = muon_adamw(OptimizerArguments(use_muon=True), training_args)
    second = factory()(resumed, **settings)
    second.load_state_dict(torch.load(tmp_path / "optimizer.pt"))
    for seed in range(2, 4):
        step(resumed, second, seed)
    for a, b in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_adamw_alone_is_left_to_upstream(tmp_path):
    assert (
        muon_adamw(OptimizerArguments(use_muon=False), TrainingArguments(output_dir=str(tmp_path), use_cpu=True))
        is None
    )

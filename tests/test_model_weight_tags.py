import pytest

from hpsearch.errors import InputError
from hpsearch.model.weight_tags import check_policy, in1k_tags, published


@pytest.mark.parametrize(
    ("backbone", "tag"),
    [
        ("resnet18", "a1_in1k"),
        ("convnext_tiny", "fb_in1k"),
        ("regnety_160", "swag_ft_in1k"),
        ("resnet50", "a1_in1k"),
        ("tf_efficientnet_b0", "aa_in1k"),
        ("swin_small_patch4_window7_224", "ms_in1k"),
    ],
)
def test_in1k_tags_leave_out_weights_that_saw_more(backbone: str, tag: str) -> None:
    tags = in1k_tags(backbone)
    assert (tag in tags) == (tag != "swag_ft_in1k")
    assert not any(part in one for one in tags for part in ("in12k", "in22k", "in21k", "ns_jft", "swsl", "ssl", "dinov3"))


@pytest.mark.parametrize("backbone", ["beitv2_base_patch16_224", "resnet50_clip", "vit_so400m_patch14_siglip_378"])
def test_backbones_that_were_taught_by_more_than_in1k_have_no_in1k_tag(backbone: str) -> None:
    assert in1k_tags(backbone) == []


def test_in1k_and_any_name_timms_first_choice_of_each_kind() -> None:
    in1k, whatever = (published("convnext_tiny", weights) for weights in ("in1k", "any"))
    assert (in1k and in1k.tag, whatever and whatever.tag) == ("fb_in1k", "in12k_ft_in1k")


def test_a_tag_names_its_weights() -> None:
    entry = published("resnet50", "a1_in1k")
    assert entry is not None
    assert entry.hf_hub_id == "timm/resnet50.a1_in1k"


def test_an_unknown_tag_is_named_with_the_nearest_one() -> None:
    with pytest.raises(
        InputError, match=r"no weights of resnet18 with this tag on the hub; did you mean 'a1_in1k'\?.*Its tags: a1_in1k"
    ):
        published("resnet18", "a1_in2k")


@pytest.mark.parametrize(
    ("backbone", "weights", "reason"),
    [
        ("convnext_tiny", "any", r"\(in12k_ft_in1k\) saw more than ImageNet-1k, which its part 'in12k' tells"),
        ("convnext_tiny", "fb_in22k_ft_in1k", "which its part 'in22k' tells"),
        ("beitv2_base_patch16_224", "any", "saw more than ImageNet-1k"),
        ("resnet18", "/models/resnet18_swsl.pth", "which its part 'swsl' tells"),
    ],
)
def test_the_in1k_policy_refuses_disputed_weights_and_the_any_policy_takes_them(
    backbone: str, weights: str, reason: str
) -> None:
    with pytest.raises(InputError, match=rf"{reason}.*--set train\.weights_policy=any"):
        check_policy(backbone, weights, "in1k")
    check_policy(backbone, weights, "any")


@pytest.mark.parametrize("weights", ["none", "in1k", "any", "a1_in1k", "mine.pt"])
def test_the_in1k_policy_takes_what_saw_imagenet_1k_only(weights: str) -> None:
    check_policy("resnet18", weights, "in1k")

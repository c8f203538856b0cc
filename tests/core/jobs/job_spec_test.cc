#include "core/jobs/job_spec.h"

#include <gmock/gmock.h>
#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "core/jobs/job_defaults.h"
#include "tests/core/jobs/good_spec.h"

namespace cytopress {
namespace {

using testing::HasSubstr;

struct BadField {
  std::string field;
  std::function<void(v1::JobSpec*)> spoil;
};

void AddUnknownField(google::protobuf::Message* message) {
  message->GetReflection()->MutableUnknownFields(message)->AddVarint(2000, 1);
}

class ValidateTest : public testing::TestWithParam<BadField> {};

TEST_P(ValidateTest, NamesTheField) {
  v1::JobSpec spec = GoodSpec();
  ASSERT_TRUE(ValidateJobSpec(spec).empty());
  GetParam().spoil(&spec);
  const std::vector<FieldViolation> violations = ValidateJobSpec(spec);
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_EQ(violations[0].field, GetParam().field);
  EXPECT_NE(violations[0].description, "");
}

const double kNan = std::numeric_limits<double>::quiet_NaN();

INSTANTIATE_TEST_SUITE_P(
    Fields, ValidateTest,
    testing::Values(
        BadField{"model_name", [](v1::JobSpec* s) { s->clear_model_name(); }},
        BadField{"model_name", [](v1::JobSpec* s) { s->set_model_name("../etc"); }},
        BadField{"model_name", [](v1::JobSpec* s) { s->set_model_name("Blood"); }},
        BadField{"model_name", [](v1::JobSpec* s) { s->set_model_name(std::string(64, 'a')); }},
        BadField{"model_name",  // NAME-dense would be too long
                 [](v1::JobSpec* s) {
                   s->set_model_name(std::string(60, 'a'));
                   s->clear_base_model();
                   Quantize(s)->set_weights(v1::WEIGHT_TYPE_INT8);
                 }},
        BadField{"model_name",  // NAME-s93.75-int8 would
                 [](v1::JobSpec* s) {
                   s->set_model_name(std::string(52, 'a'));
                   s->mutable_sweep()->add_sparsities(0.9375);
                   s->mutable_sweep()->add_weights(v1::WEIGHT_TYPE_INT8);
                 }},
        BadField{"recipe.train.distillation",
                 [](v1::JobSpec* s) { Train(s)->set_distillation(0.5); }},
        BadField{"recipe.prune.layer_sparsity",
                 [](v1::JobSpec* s) {
                   Prune(s)->clear_sparsity();
                   (*Prune(s)->mutable_layer_sparsity())["layer1.0.conv1"] = 0.5;
                 }},
        BadField{"recipe.prune.layer_sparsity",
                 [](v1::JobSpec* s) {
                   s->mutable_recipe()->clear_prune();
                   Prune(s)->set_pattern(v1::PRUNE_PATTERN_TWO_OF_FOUR);
                   Prune(s)->set_sparsity(0.5);
                   (*Prune(s)->mutable_layer_sparsity())["layer1.0.conv1"] = 0.9;
                 }},
        BadField{"recipe.prune.sparsity",
                 [](v1::JobSpec* s) {
                   Prune(s)->clear_gradual_fraction();
                   Prune(s)->set_pattern(v1::PRUNE_PATTERN_TWO_OF_FOUR);
                   Prune(s)->set_sparsity(0.9);
                 }},
        BadField{"recipe.prune.pattern",
                 [](v1::JobSpec* s) {
                   s->mutable_recipe()->clear_prune();
                   Prune(s)->set_pattern(v1::PRUNE_PATTERN_TWO_OF_FOUR);
                   s->mutable_goal();
                 }},
        BadField{"recipe.prune.pattern",
                 [](v1::JobSpec* s) {
                   s->mutable_recipe()->clear_prune();
                   Prune(s)->set_pattern(v1::PRUNE_PATTERN_TWO_OF_FOUR);
                   s->mutable_sweep()->add_sparsities(0.2);
                   s->mutable_sweep()->add_weights(v1::WEIGHT_TYPE_INT8);
                 }},
        BadField{"sweep.sparsities[1]",  // whose model would have the same name
                 [](v1::JobSpec* s) {
                   s->mutable_sweep()->add_sparsities(0.3);
                   s->mutable_sweep()->add_sparsities(0.1 + 0.2);
                   s->mutable_sweep()->add_weights(v1::WEIGHT_TYPE_INT8);
                 }},
        BadField{"recipe.quantize.weight_range",
                 [](v1::JobSpec* s) {
                   s->mutable_recipe()->clear_prune();
                   Quantize(s)->set_weight_range(v1::RANGE_METHOD_ASYMMETRIC);
                   s->mutable_goal();
                 }},
        BadField{"dataset.uri", [](v1::JobSpec* s) { s->mutable_dataset()->clear_uri(); }},
        BadField{"dataset.uri",
                 [](v1::JobSpec* s) { s->mutable_dataset()->set_uri(std::string("a\0b", 3)); }},
        BadField{"dataset.uri",
                 [](v1::JobSpec* s) { s->mutable_dataset()->set_uri("synthetic:99"); }},
        BadField{"dataset.uri",
                 [](v1::JobSpec* s) { s->mutable_dataset()->set_uri("synthetic:many"); }},
        BadField{"dataset.class_names[1]",
                 [](v1::JobSpec* s) {
                   s->mutable_dataset()->add_class_names("a");
                   s->mutable_dataset()->add_class_names("a");
                 }},
        BadField{"dataset.class_names[0]",
                 [](v1::JobSpec* s) { s->mutable_dataset()->add_class_names(""); }},
        BadField{"dataset.class_names[0]",
                 [](v1::JobSpec* s) { s->mutable_dataset()->add_class_names("a\nb"); }},
        BadField{"dataset.class_names",
                 [](v1::JobSpec* s) {
                   s->mutable_dataset()->add_class_names("a");
                   s->mutable_dataset()->add_class_names("b");
                   s->mutable_network()->set_classes(3);
                 }},
        BadField{"base_model", [](v1::JobSpec* s) { s->set_base_model("blood@0"); }},
        BadField{"base_model", [](v1::JobSpec* s) { s->set_base_model("blood@new"); }},
        BadField{"base_model", [](v1::JobSpec* s) { s->set_base_model("blood@"); }},
        BadField{"base_model", [](v1::JobSpec* s) { s->set_base_model("a/b"); }},
        BadField{"network",
                 [](v1::JobSpec* s) {
                   s->set_base_model("blood@3");
                   s->mutable_network()->set_architecture("resnet18");
                 }},
        BadField{"network.architecture",
                 [](v1::JobSpec* s) { s->mutable_network()->set_architecture("vgg16"); }},
        BadField{"network.stem",
                 [](v1::JobSpec* s) { s->mutable_network()->set_stem(static_cast<v1::Stem>(9)); }},
        BadField{"network.classes", [](v1::JobSpec* s) { s->mutable_network()->set_classes(1); }},
        BadField{"network.input_channels",
                 [](v1::JobSpec* s) { s->mutable_network()->set_input_channels(2); }},
        BadField{"network.input_height",
                 [](v1::JobSpec* s) { s->mutable_network()->set_input_height(5000); }},
        BadField{"network.input_width",
                 [](v1::JobSpec* s) { s->mutable_network()->set_input_width(-28); }},
        BadField{"recipe.train.epochs", [](v1::JobSpec* s) { Train(s)->set_epochs(1001); }},
        BadField{"recipe.train.epochs", [](v1::JobSpec* s) { Train(s)->set_epochs(-1); }},
        BadField{"recipe.train.batch_size", [](v1::JobSpec* s) { Train(s)->set_batch_size(4097); }},
        BadField{"recipe.train.learning_rate",
                 [](v1::JobSpec* s) { Train(s)->set_learning_rate(kNan); }},
        BadField{"recipe.train.learning_rate",
                 [](v1::JobSpec* s) { Train(s)->set_learning_rate(INFINITY); }},
        BadField{"recipe.train.learning_rate",
                 [](v1::JobSpec* s) { Train(s)->set_learning_rate(-0.1); }},
        BadField{"recipe.train.warmup_fraction",
                 [](v1::JobSpec* s) { Train(s)->set_warmup_fraction(1.5); }},
        BadField{"recipe.train.momentum", [](v1::JobSpec* s) { Train(s)->set_momentum(1.0); }},
        BadField{"recipe.train.weight_decay",
                 [](v1::JobSpec* s) { Train(s)->set_weight_decay(-1e-4); }},
        BadField{"recipe.train.label_smoothing",
                 [](v1::JobSpec* s) { Train(s)->set_label_smoothing(1.0); }},
        BadField{"recipe.train.shift_pixels",
                 [](v1::JobSpec* s) { Train(s)->set_shift_pixels(-2); }},
        BadField{"recipe.train.rotate_degrees",
                 [](v1::JobSpec* s) { Train(s)->set_rotate_degrees(181); }},
        BadField{"recipe.train.zoom", [](v1::JobSpec* s) { Train(s)->set_zoom(0.6); }},
        BadField{"recipe.train.color_jitter",
                 [](v1::JobSpec* s) { Train(s)->set_color_jitter(-0.1); }},
        BadField{"recipe.train.mixup_alpha",
                 [](v1::JobSpec* s) { Train(s)->set_mixup_alpha(5); }},
        BadField{"recipe.finetune.mixup_alpha",
                 [](v1::JobSpec* s) {
                   v1::TrainOptions* const finetune = s->mutable_recipe()->mutable_finetune();
                   finetune->set_mixup_alpha(0.2);
                   finetune->set_distillation(0.5);
                 }},
        BadField{"recipe.train.max_images", [](v1::JobSpec* s) { Train(s)->set_max_images(-1); }},
        BadField{"recipe.train.precision", [](v1::JobSpec* s) { Train(s)->set_precision("fp8"); }},
        BadField{"recipe.train.freeze_batch_norm",
                 [](v1::JobSpec* s) { Train(s)->set_freeze_batch_norm(true); }},
        BadField{"recipe.finetune.epochs",
                 [](v1::JobSpec* s) { s->mutable_recipe()->mutable_finetune()->set_epochs(2000); }},
        BadField{"recipe.prune.sparsity", [](v1::JobSpec* s) { Prune(s)->set_sparsity(1.0); }},
        BadField{"recipe.prune.sparsity", [](v1::JobSpec* s) { Prune(s)->set_sparsity(kNan); }},
        BadField{"recipe.prune.method",
                 [](v1::JobSpec* s) { Prune(s)->set_method(static_cast<v1::PruneMethod>(7)); }},
        BadField{"recipe.quantize.weights",
                 [](v1::JobSpec* s) { Quantize(s)->set_weights(static_cast<v1::WeightType>(7)); }},
        BadField{"recipe.quantize.calibration_images",
                 [](v1::JobSpec* s) { Quantize(s)->set_calibration_images(-1); }},
        BadField{"recipe.quantize.group_size",
                 [](v1::JobSpec* s) {
                   Quantize(s)->set_weights(v1::WEIGHT_TYPE_INT4);
                   Quantize(s)->set_group_size(4);
                 }},
        BadField{"recipe.quantize.group_size",
                 [](v1::JobSpec* s) {
                   Quantize(s)->set_weights(v1::WEIGHT_TYPE_INT8);
                   Quantize(s)->set_group_size(64);
                 }},
        BadField{"recipe.quantize.aware",
                 [](v1::JobSpec* s) { Quantize(s)->mutable_aware()->set_epochs(1); }},
        BadField{"recipe.quantize.layer_weights",
                 [](v1::JobSpec* s) {
                   Quantize(s)->set_weights(v1::WEIGHT_TYPE_INT8);
                   (*Quantize(s)->mutable_layer_weights())["fc"] = v1::WEIGHT_TYPE_INT8;
                 }},
        BadField{"recipe.quantize.per_tensor_scales",
                 [](v1::JobSpec* s) {
                   Quantize(s)->set_weights(v1::WEIGHT_TYPE_INT4);
                   Quantize(s)->set_group_size(64);
                   Quantize(s)->set_per_tensor_scales(true);
                 }},
        BadField{"recipe.quantize.per_tensor_scales",
                 [](v1::JobSpec* s) {
                   Quantize(s)->set_rounding(v1::ROUNDING_GPTQ);
                   Quantize(s)->set_per_tensor_scales(true);
                 }},
        BadField{"recipe.quantize.per_tensor_scales",
                 [](v1::JobSpec* s) {
                   Quantize(s)->set_weights(v1::WEIGHT_TYPE_INT8);
                   Quantize(s)->mutable_aware()->set_epochs(1);
                   Quantize(s)->set_per_tensor_scales(true);
                 }},
        BadField{"recipe.quantize.per_tensor_scales",
                 [](v1::JobSpec* s) {
                   Quantize(s)->set_reestimate_batch_norm(true);
                   Quantize(s)->set_per_tensor_scales(true);
                 }},
        BadField{"recipe.quantize.weight_range",
                 [](v1::JobSpec* s) {
                   Quantize(s)->set_weight_range(v1::RANGE_METHOD_ASYMMETRIC);
                   Quantize(s)->set_rounding(v1::ROUNDING_GPTQ);
                 }},
        BadField{"recipe.quantize.activation_range",
                 [](v1::JobSpec* s) {
                   Quantize(s)->set_activation_range(v1::RANGE_METHOD_ASYMMETRIC);
                 }},
        BadField{"recipe.quantize.activation_percentile",
                 [](v1::JobSpec* s) { Quantize(s)->set_activation_percentile(100.1); }},
        BadField{"recipe.max_accuracy_drop",
                 [](v1::JobSpec* s) { s->mutable_recipe()->set_max_accuracy_drop(1.1); }},
        BadField{"recipe.name",
                 [](v1::JobSpec* s) { s->mutable_recipe()->set_name(std::string(300, 'x')); }},
        BadField{"recipe.name",
                 [](v1::JobSpec* s) { s->mutable_recipe()->set_name(std::string("a\0b", 3)); }},
        BadField{"", [](v1::JobSpec* s) { AddUnknownField(s); }},
        BadField{"recipe.quantize.aware",
                 [](v1::JobSpec* s) {
                   Quantize(s)->set_weights(v1::WEIGHT_TYPE_INT8);
                   AddUnknownField(Quantize(s)->mutable_aware());
                 }},
        BadField{"device", [](v1::JobSpec* s) { s->set_device("cuda"); }},
        BadField{"device", [](v1::JobSpec* s) { s->set_device("cuda:x"); }},
        BadField{"device", [](v1::JobSpec* s) { s->set_device("cuda:+0"); }},
        BadField{"device", [](v1::JobSpec* s) { s->set_device("cuda:00"); }},
        BadField{"device", [](v1::JobSpec* s) { s->set_device("tpu"); }}));

TEST(ValidateJobSpec, ReportsEverythingAtOnce) {
  v1::JobSpec spec;
  spec.set_device("gpu");
  EXPECT_EQ(ValidateJobSpec(spec).size(), 3u);  // model_name, dataset.uri, device
}

TEST(ValidateJobSpec, ReportsNoMoreThanAnAnswerHolds) {
  v1::JobSpec spec = GoodSpec();
  for (int i = 0; i < 1000; ++i) spec.mutable_dataset()->add_class_names("");
  EXPECT_EQ(ValidateJobSpec(spec).size(), kMaxViolations);
}

// Their product is 2^32 + 19.
TEST(ValidateJobSpec, CountsTheModelsOfASweepThatNoIntHolds) {
  v1::JobSpec spec = GoodSpec();
  spec.mutable_sweep()->mutable_sparsities()->Resize(26053, 0.5);
  spec.mutable_sweep()->mutable_weights()->Resize(164855, v1::WEIGHT_TYPE_INT8);
  const std::vector<FieldViolation> violations = ValidateJobSpec(spec);
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_EQ(violations[0].field, "sweep");
}

TEST(ValidateJobSpec, BoundsItsSize) {
  v1::JobSpec spec = GoodSpec();
  spec.mutable_recipe()->set_name(std::string(5 << 20, 'x'));
  const std::vector<FieldViolation> violations = ValidateJobSpec(spec);
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_EQ(violations[0].field, "");
  EXPECT_THAT(violations[0].description, HasSubstr("at most 4194304"));
}

TEST(ValidateJobSpec, BoundsWhatIsSaidOfLayers) {
  v1::JobSpec many = GoodSpec();
  Prune(&many)->set_sparsity(0.5);
  Quantize(&many)->set_weights(v1::WEIGHT_TYPE_INT4);
  for (int i = 0; i < 1000; ++i) {
    (*Prune(&many)->mutable_layer_sparsity())[std::to_string(i)] = 0.5;
    (*Quantize(&many)->mutable_layer_weights())[std::to_string(i)] = v1::WEIGHT_TYPE_INT8;
  }
  EXPECT_TRUE(ValidateJobSpec(many).empty());
  v1::JobSpec wrong = many;
  (*Prune(&wrong)->mutable_layer_sparsity())["one more"] = 0.5;
  (*Quantize(&wrong)->mutable_layer_weights())["one more"] = v1::WEIGHT_TYPE_INT8;
  std::vector<FieldViolation> violations = ValidateJobSpec(wrong);
  ASSERT_EQ(violations.size(), 2u);
  EXPECT_EQ(violations[0].field, "recipe.prune.layer_sparsity");
  EXPECT_THAT(violations[0].description, HasSubstr("1001 layers; at most 1000"));
  EXPECT_EQ(violations[1].field, "recipe.quantize.layer_weights");

  wrong = GoodSpec();
  Prune(&wrong)->set_sparsity(0.5);
  (*Prune(&wrong)->mutable_layer_sparsity())[std::string(257, 'x')] = 0.5;
  violations = ValidateJobSpec(wrong);
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_EQ(violations[0].field, "recipe.prune.layer_sparsity");
  EXPECT_THAT(violations[0].description, HasSubstr("257 bytes; at most 256"));
}

TEST(ValidateJobSpec, TheLargestDatasetFits) {
  v1::JobSpec spec = GoodSpec();
  for (int i = 0; i < 1024; ++i) {
    std::string name = std::to_string(i);
    name.resize(256, 'x');
    spec.mutable_dataset()->add_class_names(name);
  }
  EXPECT_TRUE(ValidateJobSpec(spec).empty());
}

TEST(ValidateJobSpec, SaysTheValueAndTheRemedy) {
  v1::JobSpec spec = GoodSpec();
  spec.mutable_network()->set_architecture("vgg16");
  const std::vector<FieldViolation> violations = ValidateJobSpec(spec);
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_THAT(violations[0].description, HasSubstr("vgg16"));
  EXPECT_THAT(violations[0].description, HasSubstr("resnet50"));
  EXPECT_THAT(violations[0].description, testing::Not(HasSubstr("network.architecture")));
}

TEST(ValidateJobSpec, NamesAFieldThatItDoesNotKnow) {
  v1::JobSpec spec = GoodSpec();
  AddUnknownField(&spec);
  const std::vector<FieldViolation> violations = ValidateJobSpec(spec);
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_THAT(violations[0].description, HasSubstr("holds field 2000"));
}

TEST(ValidateJobSpec, AcceptsWhatIsAllowed) {
  v1::JobSpec spec = GoodSpec();
  spec.set_base_model("blood.v2_a-b@12");
  EXPECT_TRUE(ValidateJobSpec(spec).empty());
  for (const char* device : {"", "cpu", "cuda:0", "cuda:15"}) {
    spec.set_device(device);
    EXPECT_TRUE(ValidateJobSpec(spec).empty()) << device;
  }
}

TEST(ValidateJobSpec, AGoalExcludesWhatItSearchesFor) {
  v1::JobSpec spec = GoodSpec();
  spec.mutable_recipe()->mutable_prune()->set_sparsity(0.5);
  spec.mutable_goal()->set_max_bytes(-1);
  spec.mutable_sweep()->add_sparsities(0.5);
  spec.mutable_sweep()->add_weights(v1::WEIGHT_TYPE_INT8);
  std::vector<std::string> fields;
  for (const FieldViolation& violation : ValidateJobSpec(spec)) fields.push_back(violation.field);
  EXPECT_THAT(fields,
              testing::UnorderedElementsAre("goal.max_bytes", "goal", "recipe.prune.sparsity"));
  spec = GoodSpec();
  spec.mutable_goal();
  (*Quantize(&spec)->mutable_layer_weights())["fc"] = v1::WEIGHT_TYPE_INT8;
  const std::vector<FieldViolation> violations = ValidateJobSpec(spec);
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_EQ(violations[0].field, "recipe.quantize.layer_weights");
}

TEST(ValidateJobSpec, ASweepAndAGoalChooseTheTypesOfWeights) {
  v1::JobSpec spec = GoodSpec();
  Quantize(&spec)->mutable_aware()->set_epochs(1);
  Quantize(&spec)->set_group_size(64);
  v1::JobSpec goal = spec;
  goal.mutable_goal()->set_max_bytes(1000000);
  EXPECT_TRUE(ValidateJobSpec(goal).empty());
  EXPECT_TRUE(ValidateJobSpec(WithDefaults(goal)).empty());

  (*Quantize(&spec)->mutable_layer_weights())["fc"] = v1::WEIGHT_TYPE_INT8;
  spec.mutable_sweep()->add_sparsities(0.5);
  spec.mutable_sweep()->add_weights(v1::WEIGHT_TYPE_FP16);
  EXPECT_EQ(ValidateJobSpec(spec).size(), 3u);  // layer_weights, group_size, aware
  spec.mutable_sweep()->add_weights(v1::WEIGHT_TYPE_INT4);
  EXPECT_TRUE(ValidateJobSpec(spec).empty());
  EXPECT_TRUE(ValidateJobSpec(WithDefaults(spec)).empty());
}

}  // namespace
}  // namespace cytopress

package io.github.dl4jretention.checkpoint;

import static io.github.dl4jretention.checkpoint.FinetuningRunTest.newest;
import static io.github.dl4jretention.checkpoint.FinetuningRunTest.refusal;
import static io.github.dl4jretention.checkpoint.FinetuningRunTest.runUntil;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.teacher.DivergenceMask;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.dropout.Dropout;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.autodiff.listeners.At;
import org.nd4j.autodiff.listeners.BaseListener;
import org.nd4j.autodiff.listeners.Operation;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.regularization.L2Regularization;

/** A run that is started again must be given the student that it began with. */
class StudentSettingsTest {

    @TempDir
    private Path folder;

    private static void learningRate(Object student, double rate) {
        if (student instanceof MultiLayerNetwork network) {
            network.setLearningRate(rate);
        } else if (student instanceof ComputationGraph graph) {
            graph.setLearningRate(rate);
        } else if (student instanceof SameDiff sd) {
            sd.getTrainingConfig().setUpdater(new Adam(rate));
        }
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void a_student_that_is_trained_in_another_way_is_refused(Kind kind) throws IOException {
        for (int until : new int[] {5, 100}) {
            runUntil(kind.builder(folder), until);
            String rate = refusal(
                    IllegalStateException.class,
                    kind.builder(folder, Kind.CONF, student -> learningRate(student, 0.125)));
            assertTrue(rate.startsWith("student: expected one trained as the first of " + newest(folder)), rate);
            assertTrue(rate.contains("/learningRate 0.0") && rate.contains(", got 0.125; give the same"), rate);
        }
    }

    @Test
    void dropout_regularisation_and_frozen_layers_are_compared_and_what_training_changes_is_not() throws IOException {
        Kind kind = Kind.MULTI_LAYER_NETWORK;
        runUntil(kind.builder(folder), 2);
        Map<String, Consumer<NeuralNetConfiguration>> changes = Map.of(
                "/idropout", conf -> conf.getLayer().setIDropout(new Dropout(0.5)),
                "/regularization",
                        conf -> ((BaseLayer) conf.getLayer()).setRegularization(List.of(new L2Regularization(1))),
                "/@class", conf -> conf.setLayer(new FrozenLayer(conf.getLayer())));
        changes.forEach((what, change) -> {
            String message = refusal(
                    IllegalStateException.class,
                    kind.builder(folder, Kind.CONF, student -> change.accept(first((MultiLayerNetwork) student))));
            assertTrue(message.contains("/layer" + what), message);
        });
        kind.builder(folder, Kind.CONF, student -> {
                    MultiLayerNetwork network = (MultiLayerNetwork) student;
                    network.setIterationCount(50);
                    network.setEpochCount(3);
                    first(network).setSeed(77);
                })
                .build()
                .run();
    }

    /** That a run picks up with it is in the lm module's tests, which has such layers. */
    @Test
    void what_says_how_much_memory_a_layer_takes_may_change() {
        String without = "{\"layers\":[{\"width\":4,\"recompute\":false},{\"width\":5}]}";
        String with = without.replace("false", "true");
        assertEquals(with, StudentSettings.withMemoryOf(without, with));
        assertEquals(without, StudentSettings.withMemoryOf(without, "{\"layers\":[]}"));
        String settings = StudentSettings.ofNetwork(with);
        assertEquals(settings, StudentSettings.ofNetwork(without));
        // Files of a version that compared it.
        assertEquals(Optional.empty(), StudentSettings.difference(without, settings, settings));
        assertTrue(StudentSettings.difference(without.replace('4', '3'), settings, settings)
                .isPresent());
    }

    private static NeuralNetConfiguration first(MultiLayerNetwork network) {
        return network.getLayerWiseConfigurations().getConf(0);
    }

    @Test
    void a_learning_rate_that_a_listener_changed_goes_on() throws IOException {
        TrainingListener lower = new BaseTrainingListener() {
            @Override
            public void iterationDone(Model model, int iteration, int epoch) {
                if (iteration == 1) {
                    ((MultiLayerNetwork) model).setLearningRate(0.001);
                }
            }
        };
        runUntil(Kind.MULTI_LAYER_NETWORK.builder(folder).listener(lower), 4);
        MultiLayerNetwork tuned = (MultiLayerNetwork)
                Kind.MULTI_LAYER_NETWORK.builder(folder).listener(lower).build().run();
        assertEquals(0.001, tuned.getLearningRate(0), 0);
        assertEquals(Kind.BATCHES, tuned.getIterationCount());
    }

    @Test
    void another_mask_of_the_divergence_is_refused_where_it_has_a_name() throws IOException {
        DivergenceMask mine = (batch, output, size, time) -> Nd4j.ones(size, time);
        runUntil(Kind.MULTI_LAYER_NETWORK.builder(folder), 2);
        for (DivergenceMask other : List.of(DivergenceMask.ALL_TOKENS, DivergenceMask.PROMPTS, mine)) {
            String message = refusal(
                    IllegalStateException.class,
                    Kind.MULTI_LAYER_NETWORK.builder(folder).divergenceMask(other));
            assertTrue(message.startsWith("divergenceMask: expected LABEL_MASK of "), message);
        }
    }

    @Test
    void each_mask_of_this_library_has_a_name_of_its_own() {
        DivergenceMask mine = (batch, output, size, time) -> Nd4j.ones(size, time);
        assertEquals(
                List.of("LABEL_MASK", "ALL_TOKENS", "PROMPTS", "one of the user's"),
                List.of(
                        RunState.nameOf(DivergenceMask.LABEL_MASK),
                        RunState.nameOf(DivergenceMask.ALL_TOKENS),
                        RunState.nameOf(DivergenceMask.PROMPTS),
                        RunState.nameOf(mine)));
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void the_students_own_listeners_are_not_called(Kind kind) throws IOException {
        List<String> heard = new ArrayList<>();
        kind.builder(folder, Kind.CONF, student -> listen(student, heard))
                .build()
                .run();
        assertEquals(List.of(), heard);
    }

    private static void listen(Object student, List<String> heard) {
        if (student instanceof SameDiff sd) {
            sd.setListeners(new SameDiffListener(heard));
        } else {
            ((Model) student).addListeners(new BaseTrainingListener() {
                @Override
                public void iterationDone(Model model, int iteration, int epoch) {
                    heard.add("iteration");
                }
            });
        }
    }

    private static final class SameDiffListener extends BaseListener {

        private final List<String> heard;

        SameDiffListener(List<String> heard) {
            this.heard = heard;
        }

        @Override
        public boolean isActive(Operation operation) {
            return true;
        }

        @Override
        public void iterationStart(SameDiff sd, At at, MultiDataSet data, long etlMs) {
            heard.add("iteration");
        }
    }
}

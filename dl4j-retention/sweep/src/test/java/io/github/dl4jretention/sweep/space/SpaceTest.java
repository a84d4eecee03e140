package io.github.dl4jretention.sweep.space;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import elsewhere.ForeignSpace;
import io.github.dl4jretention.Networks;
import io.github.dl4jretention.loss.Divergence;
import io.github.dl4jretention.loss.Preference;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.loss.TokenWeight;
import io.github.dl4jretention.sweep.task.FinetuneSpace;
import io.github.dl4jretention.sweep.task.GeneratorExhausted;
import io.github.dl4jretention.sweep.task.RetentionScore;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import net.jqwik.api.Assume;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.Scale;
import org.deeplearning4j.arbiter.ComputationGraphSpace;
import org.deeplearning4j.arbiter.DL4JConfiguration;
import org.deeplearning4j.arbiter.GraphConfiguration;
import org.deeplearning4j.arbiter.MultiLayerSpace;
import org.deeplearning4j.arbiter.layers.LSTMLayerSpace;
import org.deeplearning4j.arbiter.optimize.api.Candidate;
import org.deeplearning4j.arbiter.optimize.api.CandidateGenerator;
import org.deeplearning4j.arbiter.optimize.api.OptimizationResult;
import org.deeplearning4j.arbiter.optimize.api.ParameterSpace;
import org.deeplearning4j.arbiter.optimize.config.OptimizationConfiguration;
import org.deeplearning4j.arbiter.optimize.generator.GridSearchCandidateGenerator;
import org.deeplearning4j.arbiter.optimize.generator.RandomSearchGenerator;
import org.deeplearning4j.arbiter.optimize.parameter.FixedValue;
import org.deeplearning4j.arbiter.optimize.parameter.continuous.ContinuousParameterSpace;
import org.deeplearning4j.arbiter.optimize.parameter.discrete.DiscreteParameterSpace;
import org.deeplearning4j.arbiter.optimize.parameter.integer.IntegerParameterSpace;
import org.deeplearning4j.arbiter.optimize.serde.jackson.JsonMapper;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;

@SuppressWarnings({"rawtypes", "unchecked"})
class SpaceTest {

    private static RetentionSpace wide() {
        return RetentionSpace.builder()
                .coefficient(0.1, 10)
                .temperatures(1, 2)
                .divergences(Divergence.FORWARD_KL, Divergence.JENSEN_SHANNON)
                .beta(new ContinuousParameterSpace(0.1, 0.9))
                .labelSmoothings(0.1)
                .build();
    }

    private static FinetuneSpace everything() {
        return FinetuneSpace.builder()
                .retention(wide())
                .methods(FinetuneMethod.PLAIN, FinetuneMethod.RETENTION)
                .learningRate(1e-4, 1e-2)
                .steps(new IntegerParameterSpace(5, 9))
                .frozenUpTo(-1, 0)
                .warmUps(0, 4)
                .build();
    }

    private static OptimizationConfiguration configuration(CandidateGenerator generator) {
        return new OptimizationConfiguration.Builder()
                .candidateGenerator(generator)
                .scoreFunction(RetentionScore.constrained(0.25))
                .terminationConditions(new GeneratorExhausted())
                .build();
    }

    /** The first candidates of a generator. */
    private static <T> List<T> draw(CandidateGenerator generator, int count) {
        List<T> values = new ArrayList<>();
        for (int i = 0; i < count && generator.hasMoreCandidates(); i++) {
            values.add((T) generator.getCandidate().getValue());
        }
        return values;
    }

    @ParameterizedTest
    @ValueSource(doubles = {Double.NaN, Double.POSITIVE_INFINITY})
    void numbers_that_are_not_finite_are_refused_by_name(double value) {
        for (Executable call : List.<Executable>of(
                () -> FinetuneSpace.builder().learningRates(value).build().requireValid(),
                () -> FinetuneSpace.builder().learningRates(1e-3, value).build().requireValid(),
                () -> RetentionSpace.builder().coefficients(1, value).build().requireValid())) {
            String message = assertThrows(IllegalArgumentException.class, call).getMessage();
            assertTrue(message.contains("expected finite numbers") && message.contains("" + value), message);
        }
    }

    @Test
    void a_coefficient_is_log_uniform_and_other_settings_keep_their_defaults() {
        RetentionSpace space = RetentionSpace.builder().coefficient(0.1, 10).build();
        assertEquals(1, space.numParameters());
        List<RetentionConfiguration> drawn = draw(Search.grid(3).over(space, null, 0), 10);
        assertEquals(
                List.of(0.1, 1.0, 10.0),
                drawn.stream()
                        .map(c -> Math.round(1e9 * c.getCoefficient()) / 1e9)
                        .toList());
        for (RetentionConfiguration configuration : drawn) {
            assertEquals(
                    RetentionConfiguration.builder()
                            .coefficient(configuration.getCoefficient())
                            .build(),
                    configuration);
        }
    }

    @Test
    void a_grid_has_round_numbers_within_its_bounds() {
        List<RetentionConfiguration> drawn = draw(
                Search.grid(5)
                        .over(RetentionSpace.builder().coefficient(0.03, 3).build(), null, 0),
                10);
        assertEquals(
                List.of(0.03, 0.09487, 0.3, 0.9487, 3.0),
                drawn.stream().map(RetentionConfiguration::getCoefficient).toList());
        FinetuneSpace rates = FinetuneSpace.builder()
                .methods(FinetuneMethod.PLAIN)
                .learningRate(1e-4, 1e-2)
                .build();
        assertEquals(
                List.of(1e-4, 1e-3, 1e-2),
                draw(Search.grid(3).over(rates, null, 0), 10).stream()
                        .map(candidate -> ((FinetuneConfiguration) candidate).learningRate())
                        .toList());
    }

    @ParameterizedTest
    @CsvSource({
        // value, lowest, highest, expected
        "2.9999999999999996, 0.03, 3, 3",
        "3.0000000000000004, 0.03, 3, 3",
        "0.10000000000000002, 0.1, 10, 0.1",
        "0.21544346900318845, 0.1, 10, 0.2154",
        "12345.678, 1, 1e6, 12350",
        // A bound that isn't round is kept as it is.
        "0.123456, 0.123456, 10, 0.123456",
        "9.999999, 0.1, 9.999999, 9.999999",
        // Bounds so near each other that four digits would make one number of many.
        "1.00001234567, 1, 1.0001, 1.00001235",
        "0, -1, 1, 0",
        "-0.21544346900318845, -1, 1, -0.2154",
        "0.21544346900318845, -Infinity, Infinity, 0.2154"
    })
    void numbers_are_rounded_and_stay_within_their_bounds(double value, double lowest, double highest, double rounded) {
        assertEquals(rounded, Leaves.rounded(value, lowest, highest), 0);
    }

    @Property
    void drawn_numbers_are_within_their_bounds_and_near_what_arbiter_draws(
            @ForAll @DoubleRange(min = 1e-9, max = 1e6) @Scale(12) double one,
            @ForAll @DoubleRange(min = 1e-9, max = 1e6) @Scale(12) double other,
            @ForAll @DoubleRange(min = 0, max = 1) @Scale(12) double at) {
        double lowest = Math.min(one, other);
        double highest = Math.max(one, other);
        Assume.that(highest > lowest);
        double drawn = lowest * Math.pow(highest / lowest, at);
        double rounded = Leaves.rounded(drawn, lowest, highest);
        assertTrue(lowest <= rounded && rounded <= highest);
        double clamped = Math.max(lowest, Math.min(highest, drawn));
        assertTrue(Math.abs(rounded - clamped) <= 5.001e-4 * clamped, rounded + " for " + clamped);
        assertTrue(Math.abs(rounded - clamped) <= Math.max(5.001e-4 * (highest - lowest), Math.ulp(clamped)));
    }

    @Test
    void a_grid_has_every_combination_once() {
        // 2 methods x (2 coefficients x 2 temperatures x 2 divergences x 2 betas) x 2 learning rates x 2 steps x 2
        // layers x 2 warm-ups; beta is Jensen-Shannon's alone.
        List<FinetuneConfiguration> drawn = draw(Search.grid(2).over(everything(), null, 0), 1000);
        assertEquals(512, drawn.size());
        assertEquals(2 * 2 * (1 + 2) * 16 + 16, drawn.stream().distinct().count());
        assertTrue(drawn.stream().allMatch(c -> c.steps() == 5 || c.steps() == 9));
        assertTrue(drawn.stream()
                .filter(c -> c.retention() != null)
                .allMatch(c -> c.retention().getLabelSmoothing() == 0.1));
    }

    @Test
    void the_beta_of_preferences_is_searched() throws Exception {
        RetentionSpace space = RetentionSpace.builder()
                .coefficients(0.5)
                .preference(Preference.Kind.SIMPO, 0.01, 10, 0.3)
                .build();
        List<FinetuneConfiguration> drawn = draw(
                Search.random().over(FinetuneSpace.builder().retention(space).build(), null, 3), 40);
        List<Double> betas = drawn.stream()
                .map(drawnOne -> Objects.requireNonNull(drawnOne.retention()).getPreference())
                .peek(preference -> assertEquals(Preference.Kind.SIMPO, preference.kind()))
                .peek(preference -> assertEquals(0.3, preference.parameter()))
                .map(Preference::beta)
                .toList();
        assertTrue(betas.stream().allMatch(beta -> beta >= 0.01 && beta <= 10), betas.toString());
        assertTrue(betas.stream().anyMatch(beta -> beta < 0.1) && betas.stream().anyMatch(beta -> beta > 1));
        RetentionSpace fixed = RetentionSpace.builder()
                .coefficients(0.5)
                .preference(Preference.dpo(0.2, 0.1))
                .build();
        assertEquals(Preference.dpo(0.2, 0.1), fixed.getValue(new double[0]).getPreference());
        assertRefused("preference", fixed::requireServedByLikeliestClasses);
        space.requireServedByLikeliestClasses();
        assertRefused("preferenceBeta", () -> RetentionSpace.builder().preference(Preference.Kind.DPO, 0, 1, 0));
        assertRefused("labelSmoothing", () -> RetentionSpace.builder().preference(Preference.Kind.DPO, 0.1, 1, 0.7));
        assertRefused("preference", () -> RetentionSpace.builder()
                .preference(Preference.ipo(0.1))
                .tokenWeights(TokenWeight.dft())
                .build());
        assertRefused("preference", () -> RetentionSpace.builder()
                .preference(Preference.ipo(0.1))
                .labelSmoothings(0.1)
                .build());
        assertFalse(wide().toString().contains("preference"), "in JSON spaces without are what they were");
    }

    @Test
    void token_weights_and_their_strength_are_searched() throws Exception {
        RetentionSpace choice = RetentionSpace.builder()
                .coefficients(0)
                .tokenWeights(null, TokenWeight.dft(), TokenWeight.eaft(20), TokenWeight.selective(2.5))
                .build();
        assertEquals(
                Arrays.asList(null, TokenWeight.dft(), TokenWeight.eaft(20), TokenWeight.selective(2.5)),
                draw(Search.grid(2).over(choice, null, 0), 10).stream()
                        .map(RetentionConfiguration.class::cast)
                        .map(RetentionConfiguration::getTokenWeight)
                        .toList());
        RetentionSpace strength = RetentionSpace.builder()
                .tokenWeight(TokenWeight.Kind.TALR, 0.1, 10)
                .build();
        List<RetentionConfiguration> drawn = draw(Search.random().over(strength, null, 5), 20);
        assertTrue(drawn.stream()
                .allMatch(c -> c.getTokenWeight().kind() == TokenWeight.Kind.TALR
                        && c.getTokenWeight().parameter() >= 0.1
                        && c.getTokenWeight().parameter() <= 10));
        assertEquals(
                20,
                drawn.stream()
                        .map(RetentionConfiguration::getTokenWeight)
                        .distinct()
                        .count());
        for (RetentionSpace space : List.of(choice, strength)) {
            String json = JsonMapper.getMapper().writeValueAsString(space);
            assertEquals(space, JsonMapper.getMapper().readValue(json, RetentionSpace.class));
        }
        IllegalArgumentException refused =
                assertThrows(IllegalArgumentException.class, choice::requireServedByLikeliestClasses);
        assertTrue(refused.getMessage().contains("selective(2.5)"), refused.getMessage());
        strength.requireServedByLikeliestClasses();
        for (Executable call : List.<Executable>of(
                () -> RetentionSpace.builder().tokenWeight(TokenWeight.Kind.DFT, 1, 2),
                () -> RetentionSpace.builder().tokenWeight(TokenWeight.Kind.EAFT, 2, 9),
                () -> RetentionSpace.builder().tokenWeight(TokenWeight.Kind.TALR, 0, 1),
                () -> RetentionSpace.builder().tokenWeights().build(),
                () -> RetentionSpace.builder()
                        .tokenWeight(TokenWeight.Kind.SELECTIVE, 0.5, 2)
                        .build())) {
            assertThrows(IllegalArgumentException.class, call);
        }
    }

    @Test
    void what_has_no_effect_makes_no_other_candidate() {
        RetentionSpace losses = RetentionSpace.builder()
                .coefficients(0, 1)
                .temperatures(2, 4)
                .divergences(Divergence.JENSEN_SHANNON, Divergence.REVERSE_KL)
                .betas(0.3, 0.6)
                .labelSmoothings(0, 0.1)
                .build();
        Set<RetentionConfiguration> drawn = new HashSet<>(draw(Search.grid(2).over(losses, null, 0), 1000));
        // Coefficient 0 has its label smoothing alone.
        assertEquals(2 * (1 + 2 * (2 + 1)), drawn.size());
        for (RetentionConfiguration none :
                drawn.stream().filter(c -> c.getCoefficient() == 0).toList()) {
            // Of the space, for samples of a teacher serve one temperature.
            assertEquals(2, none.getTemperature());
            assertEquals(Divergence.JENSEN_SHANNON, none.getDivergence());
            assertEquals(0.3, none.getBeta());
        }
        FinetuneSpace lengths = FinetuneSpace.builder()
                .retention(RetentionSpace.builder().coefficients(1).build())
                .epochs(1, 2, 3)
                .steps(5, 9)
                .build();
        List<FinetuneConfiguration> candidates = draw(Search.grid(2).over(lengths, null, 0), 1000);
        assertEquals(6, candidates.size());
        assertEquals(2, candidates.stream().distinct().count());
    }

    @Test
    void checks_leave_a_space_that_is_being_searched_as_it_is() {
        ParameterSpace<Double> shared = new ContinuousParameterSpace(0.1, 0.9);
        FinetuneSpace searched = FinetuneSpace.builder()
                .retention(RetentionSpace.builder()
                        .coefficient(0.1, 10)
                        .beta(shared)
                        .build())
                .methods(FinetuneMethod.PLAIN, FinetuneMethod.RETENTION)
                .learningRate(1e-4, 1e-2)
                .build();
        List<FinetuneConfiguration> undisturbed = draw(Search.random().over(searched, null, 3), 20);
        CandidateGenerator generator = Search.random().over(searched, null, 3);
        List<FinetuneConfiguration> drawn = new ArrayList<>(draw(generator, 5));
        searched.requireValid();
        RetentionSpace.builder().beta(shared).build();
        FinetuneSpace.builder().learningRate(shared).build();
        drawn.addAll(draw(generator, 15));
        assertEquals(undisturbed, drawn);
    }

    @Test
    void spaces_survive_json_in_arbiters_configuration() throws IOException {
        for (CandidateGenerator generator : List.of(
                new GridSearchCandidateGenerator(everything(), 2, GridSearchCandidateGenerator.Mode.Sequential, null),
                new RandomSearchGenerator(everything()))) {
            OptimizationConfiguration configuration = configuration(generator);
            configuration.getCandidateGenerator().setRngSeed(7);
            String json = configuration.toJson();
            for (OptimizationConfiguration read : List.of(
                    OptimizationConfiguration.fromJson(json),
                    OptimizationConfiguration.fromYaml(configuration.toYaml()),
                    UntrustedJson.read(json, OptimizationConfiguration.class))) {
                CandidateGenerator same = read.getCandidateGenerator();
                assertEquals(generator.getParameterSpace(), same.getParameterSpace());
                assertEquals(configuration.getScoreFunction(), read.getScoreFunction());
                assertEquals(configuration.getTerminationConditions(), read.getTerminationConditions());
                same.setRngSeed(7);
                generator.setRngSeed(7);
                assertEquals(
                        generator
                                .getParameterSpace()
                                .getValue(new double[everything().numParameters()]),
                        same.getParameterSpace()
                                .getValue(new double[everything().numParameters()]));
            }
        }
        String json = configuration(new RandomSearchGenerator(everything())).toJson();
        CandidateGenerator one = OptimizationConfiguration.fromJson(json).getCandidateGenerator();
        CandidateGenerator other = OptimizationConfiguration.fromJson(json).getCandidateGenerator();
        one.setRngSeed(3);
        other.setRngSeed(3);
        assertEquals(draw(one, 20), draw(other, 20));
    }

    @Test
    void random_and_genetic_searches_are_those_of_their_seed() {
        for (Search search : List.of(Search.random(), Search.genetic(4))) {
            List<FinetuneConfiguration> drawn = drawAndScore(search, 5);
            assertEquals(drawn, drawAndScore(search, 5));
            assertFalse(drawn.equals(drawAndScore(search, 6)));
        }
    }

    /** Scores are the distances of the coefficient's logarithm from that of 2: a genetic search comes nearer. */
    private static List<FinetuneConfiguration> drawAndScore(Search search, long seed) {
        CandidateGenerator generator = search.over(
                FinetuneSpace.builder()
                        .retention(
                                RetentionSpace.builder().coefficient(0.01, 100).build())
                        .build(),
                RetentionScore.weighted(1),
                seed);
        List<FinetuneConfiguration> drawn = new ArrayList<>();
        for (int i = 0; i < 40; i++) {
            Candidate candidate = generator.getCandidate();
            FinetuneConfiguration value = (FinetuneConfiguration) candidate.getValue();
            drawn.add(value);
            generator.reportResults(new OptimizationResult(candidate, distance(value), i, null, null, null));
        }
        return drawn;
    }

    private static double distance(FinetuneConfiguration candidate) {
        return Math.abs(Math.log(candidate.retention().getCoefficient() / 2));
    }

    @Test
    void a_genetic_search_comes_nearer_to_the_best() {
        List<FinetuneConfiguration> drawn = drawAndScore(Search.genetic(6), 1);
        double first = drawn.subList(0, 10).stream()
                .mapToDouble(SpaceTest::distance)
                .average()
                .orElseThrow();
        double last = drawn.subList(30, 40).stream()
                .mapToDouble(SpaceTest::distance)
                .average()
                .orElseThrow();
        assertTrue(last < first / 2, first + " to " + last);
    }

    @Test
    void a_retention_layer_in_arbiters_multi_layer_space() throws IOException {
        MultiLayerSpace space = new MultiLayerSpace.Builder()
                .seed(1)
                .addLayer(new LSTMLayerSpace.Builder()
                        .nIn(Networks.INPUTS)
                        .nOut(7)
                        .build())
                .addLayer(layer())
                .build();
        String json = JsonMapper.getMapper().writeValueAsString(space);
        for (ParameterSpace<?> each : List.of(space, MultiLayerSpace.fromJson(json))) {
            List<DL4JConfiguration> drawn = draw(Search.grid(3).over(each, null, 0), 10);
            assertEquals(3, drawn.size());
            List<Double> coefficients = new ArrayList<>();
            for (DL4JConfiguration configuration : drawn) {
                MultiLayerNetwork network = new MultiLayerNetwork(configuration.getMultiLayerConfiguration());
                network.init();
                double before = network.score(Networks.sequences(DataType.FLOAT, 3, 1));
                network.fit(Networks.sequences(DataType.FLOAT, 3, 1));
                assertTrue(network.score(Networks.sequences(DataType.FLOAT, 3, 1)) < before);
                coefficients.add(coefficient(
                        (RetentionOutputLayer) network.getOutputLayer().conf().getLayer()));
            }
            assertEquals(List.of(0.1, 1.0, 10.0), coefficients);
        }
    }

    private static double coefficient(RetentionOutputLayer layer) {
        return Math.round(1e9 * layer.getRetention().getCoefficient()) / 1e9;
    }

    private static RetentionOutputLayerSpace layer() {
        return new RetentionOutputLayerSpace.Builder(
                        RetentionSpace.builder().coefficient(0.1, 10).build())
                .nIn(7)
                .nOut(Networks.VOCABULARY)
                .dataFormat(RNNFormat.NCW)
                .build();
    }

    @Test
    void a_retention_layer_in_arbiters_graph_space() throws IOException {
        ComputationGraphSpace space = new ComputationGraphSpace.Builder()
                .seed(1)
                .addInputs("in")
                .addLayer(
                        "lstm",
                        new LSTMLayerSpace.Builder()
                                .nIn(Networks.INPUTS)
                                .nOut(7)
                                .build(),
                        "in")
                .addLayer("out", layer(), "lstm")
                .setOutputs("out")
                .build();
        String json = JsonMapper.getMapper().writeValueAsString(space);
        for (ParameterSpace<?> each : List.of(space, ComputationGraphSpace.fromJson(json))) {
            List<GraphConfiguration> drawn = draw(Search.grid(3).over(each, null, 0), 10);
            assertEquals(3, drawn.size());
            ComputationGraph graph = new ComputationGraph(drawn.get(2).getConfiguration());
            graph.init();
            graph.fit(Networks.sequences(DataType.FLOAT, 3, 1));
            assertEquals(10, coefficient((RetentionOutputLayer)
                    graph.getLayer("out").conf().getLayer()));
        }
    }

    @Test
    void bad_bounds_and_empty_spaces_are_refused_by_name() {
        assertRefused("coefficient", () -> RetentionSpace.builder().coefficient(-1, 2));
        assertRefused("coefficient", () -> RetentionSpace.builder().coefficient(0, 2));
        assertRefused("coefficient", () -> RetentionSpace.builder().coefficient(3, 2));
        assertRefused(
                "coefficient",
                () -> RetentionSpace.builder().coefficients(1, -0.5).build());
        assertRefused(
                "coefficient", () -> RetentionSpace.builder().coefficients().build());
        assertRefused("coefficient", () -> RetentionSpace.builder()
                .coefficient(new ContinuousParameterSpace(-0.1, 1))
                .build());
        assertRefused(
                "temperature", () -> RetentionSpace.builder().temperatures(0, 1).build());
        assertRefused("divergence", () -> RetentionSpace.builder().divergences().build());
        assertRefused("beta", () -> RetentionSpace.builder().betas(0.5, 1).build());
        assertRefused(
                "labelSmoothing",
                () -> RetentionSpace.builder().labelSmoothings(1).build());
        assertRefused("learningRate", () -> FinetuneSpace.builder().learningRate(0, 1));
        assertRefused(
                "learningRate", () -> FinetuneSpace.builder().learningRates(-1).build());
        assertRefused("steps", () -> FinetuneSpace.builder().steps(0));
        assertRefused("epochs", () -> FinetuneSpace.builder().epochs(0, 2).build());
        assertRefused("frozenUpTo", () -> FinetuneSpace.builder().frozenUpTo(-2).build());
        assertRefused("warmUp", () -> FinetuneSpace.builder().warmUps(0, -1).build());
        assertRefused("methods", () -> FinetuneSpace.builder().methods().build());
        assertRefused("points", () -> Search.grid(1));
        assertRefused("population", () -> Search.genetic(2));
        assertRefused("sourceWeight", () -> RetentionScore.weighted(-1));
        assertRefused("largestForgetting", () -> RetentionScore.constrained(Double.NaN));
    }

    private static void assertRefused(String argument, Executable call) {
        IllegalArgumentException e = assertThrows(IllegalArgumentException.class, call);
        assertTrue(e.getMessage().startsWith(argument + ": expected"), e.getMessage());
    }

    /** Deserialising it is running its author's code. */
    private static final class Payload implements Serializable {
        private static final long serialVersionUID = 1L;
        private static boolean ran;

        private void readObject(ObjectInputStream in) {
            ran = true;
        }
    }

    @Test
    void json_from_elsewhere_runs_no_code_of_its_author() throws IOException {
        String json = JsonMapper.getMapper().writeValueAsString(new FixedValue<>(new Payload()));
        Payload.ran = false;
        JsonMapper.getMapper().readValue(json, FixedValue.class);
        assertTrue(Payload.ran, "Arbiter's own mapper runs it");
        Payload.ran = false;
        IOException e = assertThrows(IOException.class, () -> UntrustedJson.read(json, FixedValue.class));
        assertTrue(e.getMessage().contains("Java-serialised"), e.getMessage());
        assertFalse(Payload.ran);
        assertEquals(
                new FixedValue<>(2.5),
                UntrustedJson.read(JsonMapper.getMapper().writeValueAsString(new FixedValue<>(2.5)), FixedValue.class));
        assertEquals(
                new FixedValue<>(RNNFormat.NWC),
                UntrustedJson.read(
                        JsonMapper.getMapper().writeValueAsString(new FixedValue<>(RNNFormat.NWC)), FixedValue.class));
    }

    /** Notes that it was initialised. */
    static final class Initialised {
        static {
            System.setProperty("SpaceTest.initialised", "yes");
        }
    }

    @Test
    void json_from_elsewhere_initialises_no_class_and_saves_nothing_where_its_author_likes() throws IOException {
        OptimizationConfiguration configuration = configuration(new RandomSearchGenerator(wide()));
        String json = configuration.toJson();
        String type = "\"@class\" : \"" + OptimizationConfiguration.class.getName() + "\"";
        assertTrue(json.contains(type), json);
        String named = json.replaceAll("\"dataSource\" : null,?", "")
                .replace(type, type + ", \"dataSource\" : \"" + Initialised.class.getName() + "\"");
        UntrustedJson.read(named, OptimizationConfiguration.class);
        assertEquals(null, System.getProperty("SpaceTest.initialised"));
        String other = named.replace(Initialised.class.getName(), "javax.swing.JEditorPane");
        IOException e =
                assertThrows(IOException.class, () -> UntrustedJson.read(other, OptimizationConfiguration.class));
        assertTrue(e.getMessage().contains("no class of"), e.getMessage());
        String saver = json.replaceAll("\"resultSaver\" : null,?", "")
                .replace(
                        type,
                        type
                                + ", \"resultSaver\" : {\"@class\" : \"org.deeplearning4j.arbiter.saver.local.FileModelSaver\","
                                + " \"path\" : \"elsewhere\"}");
        e = assertThrows(IOException.class, () -> UntrustedJson.read(saver, OptimizationConfiguration.class));
        assertTrue(e.getMessage().contains("not read from elsewhere"), e.getMessage());
    }

    @Test
    void json_from_elsewhere_makes_no_space_of_another_package() throws IOException {
        String json = JsonMapper.getMapper().writeValueAsString(new ForeignSpace());
        ForeignSpace.made = 0;
        assertThrows(IOException.class, () -> UntrustedJson.read(json, ParameterSpace.class));
        assertEquals(0, ForeignSpace.made);
        JsonMapper.getMapper().readValue(json, ParameterSpace.class);
        assertEquals(1, ForeignSpace.made, "Arbiter's own mapper makes it");
    }

    @Test
    void spaces_from_json_are_checked_as_those_of_the_builders() throws IOException {
        String json = JsonMapper.getMapper()
                .writeValueAsString(FinetuneSpace.builder().learningRates(0.125).build());
        assertTrue(json.contains("0.125"), json);
        UntrustedJson.read(json, FinetuneSpace.class).requireValid();
        FinetuneSpace negative = UntrustedJson.read(json.replace("0.125", "-0.125"), FinetuneSpace.class);
        assertRefused("learningRate", negative::requireValid);
        FinetuneSpace none =
                UntrustedJson.read("{\"@class\":\"" + FinetuneSpace.class.getName() + "\"}", FinetuneSpace.class);
        assertRefused("learningRate", none::requireValid);
        String cold = JsonMapper.getMapper()
                .writeValueAsString(RetentionSpace.builder().temperatures(0.125).build())
                .replace("0.125", "0");
        assertRefused("temperature", UntrustedJson.read(cold, RetentionSpace.class)::requireValid);
    }

    @Test
    void json_from_elsewhere_makes_no_classes_from_elsewhere() throws IOException {
        String good = JsonMapper.getMapper().writeValueAsString(new DiscreteParameterSpace<>(Arrays.asList(1.0, 2.0)));
        assertEquals(new DiscreteParameterSpace<>(1.0, 2.0), UntrustedJson.read(good, ParameterSpace.class));
        for (String name : List.of("java.io.File", "javax.swing.JEditorPane", "java.util.concurrent.Executor")) {
            String bad = good.replace(DiscreteParameterSpace.class.getName(), name);
            assertThrows(IOException.class, () -> UntrustedJson.read(bad, ParameterSpace.class));
            String fixed = "{\"@class\":\"" + FixedValue.class.getName() + "\",\"@valueclass\":\"" + name
                    + "\",\"value\":\"x\"}";
            assertThrows(IOException.class, () -> UntrustedJson.read(fixed, ParameterSpace.class));
        }
    }
}

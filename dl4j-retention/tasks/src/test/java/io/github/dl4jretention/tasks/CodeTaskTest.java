package io.github.dl4jretention.tasks;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.dl4jretention.lm.Generator;
import io.github.dl4jretention.lm.Tokenizer;
import io.github.dl4jretention.tasks.metric.TaskStatistics;
import io.github.dl4jretention.tasks.sandbox.CodeLimits;
import io.github.dl4jretention.tasks.sandbox.CodeSandbox;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.GZIPOutputStream;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.shade.jackson.databind.ObjectMapper;

/** From a file as HumanEval is published, over what a model writes, to pass@k. */
class CodeTaskTest {

    private static CodeSandbox sandbox;

    @TempDir
    Path temporary;

    @BeforeAll
    static void start() {
        try {
            sandbox = CodeSandbox.of(new CodeLimits(8, 1L << 28, 1L << 20, 8));
        } catch (IOException e) {
            assumeTrue(false, "no python3: " + e);
        }
    }

    private static String prompt(String name) {
        return "def " + name + "():\n";
    }

    /** A gzipped file of functions that give 1. */
    private TaskSuite suite(Iterable<String> names, String... keys) throws IOException {
        ObjectMapper mapper = new ObjectMapper();
        StringBuilder lines = new StringBuilder();
        for (String name : names) {
            lines.append(mapper.writeValueAsString(Map.of(
                            "task_id",
                            "Test/" + name,
                            "prompt",
                            prompt(name),
                            "entry_point",
                            name,
                            "canonical_solution",
                            "    return 1\n",
                            "test",
                            "def check(candidate):\n    assert candidate() == 1\n")))
                    .append('\n');
        }
        Path folder = Files.createDirectories(temporary.resolve("tasks"));
        try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(folder.resolve("Test.jsonl.gz")))) {
            out.write(lines.toString().getBytes(StandardCharsets.UTF_8));
        }
        Files.writeString(
                folder.resolve("code.yaml"), "format: humaneval\nfile: Test.jsonl.gz\n" + String.join("\n", keys));
        return TaskSuite.of(folder).allowCode(sandbox);
    }

    /** After a prompt it writes what a map has for it, and then what ends the answer. */
    private static TaskModel writer(Map<String, String> answers) {
        return new TaskModel(Tokenizer.bytes(), 4000) {
            @Override
            String sha256() {
                return "writer";
            }

            @Override
            double[][][] score(int[] head, int[][] prompts, int[][][] continuations) {
                throw new UnsupportedOperationException("it only writes");
            }

            @Override
            Generator generator() {
                return Generator.of(
                        sequences -> {
                            float[][] next = new float[sequences.length][];
                            for (int i = 0; i < next.length; i++) {
                                next[i] = logits(answers, tokenizer().decode(sequences[i]));
                            }
                            return next;
                        },
                        tokenizer(),
                        context());
            }

            @Override
            public void close() {}
        };
    }

    /** A question mark in an answer is 1 or 2 with the same probability. */
    private static float[] logits(Map<String, String> answers, String text) {
        float[] logits = new float[256];
        for (Map.Entry<String, String> answer : answers.entrySet()) {
            if (text.startsWith(prompt(answer.getKey()))) {
                String all = answer.getValue() + "\n#";
                char next = all.charAt(Math.min(
                        all.length() - 1,
                        text.length() - prompt(answer.getKey()).length()));
                logits[next == '?' ? '1' : next] = 100;
                logits[next == '?' ? '2' : next] = 100;
            }
        }
        return logits;
    }

    private static List<Double> passed(TaskResult result) {
        return result.questions().stream()
                .map(question -> question.marks().get("pass@1"))
                .toList();
    }

    /** A model that has learned a function writes it, and it passes; before it learned it, what it writes doesn't. */
    @Test
    void a_model_that_learns_a_function_passes_its_tests() throws IOException {
        TaskSuite suite = suite(List.of("one"), "maxTokens: 40");
        MultiLayerNetwork network = network();
        TaskReport before;
        TaskReport after;
        try (TaskModel model = TaskModel.of(network, Tokenizer.bytes(), 200)) {
            before = suite.run(model, "before");
        }
        DataSet text = text(prompt("one") + "    return 1\n#");
        network.fit(text);
        for (int step = 1; step < 500 && network.score() > 1; step++) {
            network.fit(text);
        }
        try (TaskModel model = TaskModel.of(network, Tokenizer.bytes(), 200)) {
            after = suite.run(model, "after");
        }
        assertEquals(List.of(0.0), passed(before.task("code")));
        assertEquals(
                List.of(1.0),
                passed(after.task("code")),
                after.task("code").questions().toString());
        TaskComparison comparison = after.compare(before);
        assertEquals(1, comparison.change(after, "code").won().size());
        assertEquals(!sandbox.isIsolated(), after.task("code").notes().contains("programs were not isolated"));
    }

    private static MultiLayerNetwork network() {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder()
                .seed(3)
                .updater(new Adam(0.03))
                .list()
                .layer(new LSTM.Builder().nOut(32).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nOut(256)
                        .activation(Activation.SOFTMAX)
                        .build())
                .setInputType(InputType.recurrent(256))
                .build());
        network.init();
        return network;
    }

    private static DataSet text(String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        int time = bytes.length - 1;
        INDArray features = Nd4j.zeros(1, 256, time);
        INDArray labels = Nd4j.zeros(1, 256, time);
        for (int t = 0; t < time; t++) {
            features.putScalar(new int[] {0, bytes[t], t}, 1);
            labels.putScalar(new int[] {0, bytes[t + 1], t}, 1);
        }
        return new DataSet(features, labels);
    }

    @Test
    void samples_that_pass_give_every_pass_at_k() throws IOException {
        TaskSuite suite =
                suite(List.of("maybe", "never"), "samples: 8", "temperature: 1", "passAt: [1, 2, 8]", "maxTokens: 60");
        TaskResult result;
        try (TaskModel model = writer(Map.of("maybe", "    return ?\n", "never", "    return 0\n"))) {
            result = suite.run(model, "writer").task("code");
        }
        double first = passed(result).get(0);
        int right = (int) Math.round(first * 8);
        assertEquals(right / 8.0, first, 1e-12);
        assertTrue(right > 0 && right < 8, "some of 8 pass: " + right);
        assertEquals(
                TaskStatistics.passAtK(8, right, 2),
                result.questions().get(0).marks().get("pass@2"),
                1e-12);
        assertEquals(1.0, result.questions().get(0).marks().get("pass@8"));
        assertEquals(0.0, result.questions().get(1).marks().get("pass@8"));
        assertEquals(first / 2, result.metrics().get("pass@1").value(), 1e-12);
        assertEquals(0.5, result.metrics().get("pass@8").value(), 1e-12);
    }

    /** Without namespaces a program may read your files and open sockets, as docs/tasks.md says. */
    @Test
    void hostile_answers_fail_and_the_others_go_on() throws IOException {
        try (ServerSocket server = new ServerSocket(0, 5, InetAddress.getLoopbackAddress())) {
            Map<String, String> answers = new LinkedHashMap<>();
            answers.put("good", "    return 1\n");
            answers.put("loop", "    while True: pass\n");
            answers.put("bomb", "    import os\n    while True: os.fork()\n    return 1\n");
            answers.put(
                    "disk",
                    "    f = open('big', 'wb')\n    for i in range(10000): f.write(b'x' * 10 ** 6)\n    return 1\n");
            answers.put("leave", "    import os\n    os._exit(0)\n");
            answers.put(
                    "home", "    import os\n    os.listdir('" + System.getProperty("user.home") + "')\n    return 1\n");
            answers.put(
                    "net",
                    "    import socket\n    socket.create_connection(('127.0.0.1', " + server.getLocalPort()
                            + "), 1)\n    return 1\n");
            answers.put("last", "    return 1\n");
            TaskResult result;
            try (TaskModel model = writer(answers)) {
                result = suite(answers.keySet(), "maxTokens: 200")
                        .run(model, "writer")
                        .task("code");
            }
            List<Double> passed = passed(result);
            assertEquals(List.of(1.0, 0.0, 0.0, 0.0, 0.0), passed.subList(0, 5));
            assertEquals(1.0, passed.get(7));
            if (sandbox.isIsolated()) {
                assertEquals(List.of(0.0, 0.0), passed.subList(5, 7));
            } else {
                assertEquals(List.of("programs were not isolated"), result.notes());
            }
        }
    }
}

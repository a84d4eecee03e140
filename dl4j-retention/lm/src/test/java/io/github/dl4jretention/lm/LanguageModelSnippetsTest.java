package io.github.dl4jretention.lm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.teacher.DivergenceMask;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.learning.config.Adam;

/** What README and docs/language-models.md show; the samples' DocsTest compares the two. */
class LanguageModelSnippetsTest {

    @TempDir
    Path folder;

    @Test
    void a_folder_in_and_a_folder_out() throws IOException {
        Path base = SmallModels.folder("llama", folder.resolve("base"));
        // Long enough for real texts; the model computes its positions.
        Path config = base.resolve("config.json");
        Files.writeString(
                config,
                Files.readString(config)
                        .replaceFirst("\"max_position_embeddings\": *\\d+", "\"max_position_embeddings\": 256"));
        Path tickets = Files.writeString(folder.resolve("tickets.jsonl"), "{\"text\":\"ab cd\"}\n".repeat(20));
        String prompt = "ab";
        // snippet
        LanguageModel model = LanguageModel.load(base); // config.json, *.safetensors, tokenizer.json
        MultiLayerNetwork pretrained = Retention.withUpdater(model.network(), new Adam(1e-4));
        TextDataset texts = TextDataset.builder(model)
                .file(tickets)
                .sequenceLength(256)
                .batch(4)
                .build();
        TeacherIterator taught =
                new TeacherIterator(texts.iterator(), Teacher.of(pretrained), DivergenceMask.ALL_TOKENS);
        MultiLayerNetwork student = Retention.attach(
                pretrained, RetentionConfiguration.builder().coefficient(1.0).build());
        student.fit(taught, 1);
        LanguageModel tuned = model.withNetwork(student);
        String text = Generator.of(tuned).temperature(0).maxTokens(20).generate(prompt);
        System.out.println(text);
        tuned.save(folder.resolve("tuned")); // the same kind of folder: other tools load it
        // end
        assertNotEquals(0, text.length());
        assertEquals(
                student.params(),
                LanguageModel.load(folder.resolve("tuned")).network().params());
    }

    @Test
    void adapters_of_a_model() throws IOException {
        LanguageModel model = LanguageModel.load(SmallModels.folder("llama", folder.resolve("base")));
        Path tickets = Files.writeString(folder.resolve("tickets.jsonl"), "{\"text\":\"ab cd\"}\n".repeat(20));
        TextDataset texts = TextDataset.builder(model)
                .file(tickets)
                .sequenceLength(8)
                .batch(4)
                .build();
        // snippet
        MultiLayerNetwork adapted = LowRankAdapters.attach(
                model.network(), LowRankAdapters.rank(8).alpha(16).layers("attention"));
        Teacher teacher = LowRankAdapters.teacher(adapted); // the base, in the memory that it has already
        MultiLayerNetwork student = Retention.attach(
                Retention.withUpdater(adapted, new Adam(1e-4)),
                RetentionConfiguration.builder().coefficient(1.0).build(),
                teacher);
        student.fit(new TeacherIterator(texts.iterator(), teacher, DivergenceMask.ALL_TOKENS), 1);
        model.saveAdapters(student, folder.resolve("adapters")); // as PEFT has it: Python loads it
        MultiLayerNetwork again = model.loadAdapters(folder.resolve("adapters"));
        model.withNetwork(again).save(folder.resolve("merged")); // or in the model's weights
        // end
        assertEquals(student.params(), again.params());
        assertEquals(
                LowRankAdapters.merge(student).params(),
                LanguageModel.load(folder.resolve("merged")).network().params());
    }
}

package io.github.dl4jretention.lm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.dl4jretention.lm.huggingface.ReferenceModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

class TokenizerTest {

    private static final ObjectMapper MAPPER = new ObjectMapper();

    /** Worked by hand from the vocabulary and the two merges. */
    @Test
    void encodes_and_decodes_by_tokenizer_json() throws IOException {
        try (Tokenizer tokenizer = Tokenizer.of(SmallModels.tokenizerFolder())) {
            assertArrayEquals(new int[] {0, 8, 9, 7, 4, 15}, tokenizer.encode("ab ab c\n"));
            assertArrayEquals(new int[] {2, 13, 14}, tokenizer.encode("a\u00e4", false));
            assertArrayEquals(new int[] {16, 2, 1}, tokenizer.encode("<|user|>a</s>", false));
            assertEquals("ab ab c\n", tokenizer.decode(0, 8, 9, 7, 4, 15));
            assertEquals("a\u00e4", tokenizer.decode(2, 13, 14));
            assertEquals("a\uFFFD", tokenizer.decode(2, 13));
            assertEquals("", tokenizer.decode());
            assertEquals(19, tokenizer.vocabulary());
            assertEquals(Set.of(1), tokenizer.ends());
            assertEquals(0, tokenizer.beginning());
            String longText = "ab ".repeat(5000);
            assertEquals(1 + 5000 + 1, tokenizer.encode(longText).length, "nothing is cut off");
        }
    }

    @Test
    void bytes_are_ids_of_byte_level_models() {
        Tokenizer tokenizer = Tokenizer.bytes();
        assertArrayEquals(new int[] {'a', 0xC3, 0xA4}, tokenizer.encode("a\u00e4"));
        assertEquals("a\u00e4", tokenizer.decode('a', 0xC3, 0xA4));
        assertEquals(256, tokenizer.vocabulary());
        assertFalse(tokenizer.hasChatTemplate());
        assertThrows(IllegalArgumentException.class, () -> tokenizer.decode(256));
        assertThrows(IllegalArgumentException.class, () -> tokenizer.decode(-1));
        assertThrows(IllegalStateException.class, () -> tokenizer.chat(List.of(new ChatMessage("user", "a")), true));
    }

    @Test
    void writes_conversations_as_the_template_says() throws IOException {
        try (Tokenizer tokenizer = Tokenizer.of(SmallModels.tokenizerFolder())) {
            List<ChatMessage> messages =
                    List.of(new ChatMessage("user", "a < b & {{c}}"), new ChatMessage("assistant", " d "));
            assertEquals(
                    "<|user|>a < b & {{c}}</s>\n<|assistant|>d</s>\n<|assistant|>\n", tokenizer.chat(messages, true));
            assertEquals("<|user|>a < b & {{c}}</s>\n<|assistant|>d</s>\n", tokenizer.chat(messages, false));
            String message = assertThrows(
                            IllegalArgumentException.class,
                            () -> tokenizer.chat(List.of(new ChatMessage("tool", "x")), true))
                    .getMessage();
            assertTrue(message.contains("no tool"), message);
            assertThrows(IllegalArgumentException.class, () -> tokenizer.chat(List.of(), true));
        }
    }

    /** Templates as models have them, and what Jinja2 makes of them. */
    @Test
    void renders_what_models_have() {
        List<ChatMessage> messages = List.of(
                new ChatMessage("system", "S"), new ChatMessage("user", "U"), new ChatMessage("assistant", "A"));
        String chatml = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
                + "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
                + "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
                + "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
        assertEquals(
                "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\nA<|im_end|>\n",
                new ChatTemplate(chatml, "", "<|im_end|>").render(messages, false));
        assertEquals(
                "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nU<|im_end|>\n"
                        + "<|im_start|>assistant\n",
                new ChatTemplate(chatml.replace("\n", "\\n"), "", "").render(messages.subList(1, 2), true));
        String llama2 = "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
                + "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
                + "{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
                + "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
                + "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}"
                + "{% endif %}{% if loop.index0 == 0 and system_message != false %}"
                + "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
                + "{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
                + "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
                + "{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}"
                + "{% endfor %}";
        assertEquals(
                "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\nU [/INST] A </s>",
                new ChatTemplate(llama2, "<s>", "</s>").render(messages, false));
        assertThrows(IllegalArgumentException.class, () -> new ChatTemplate(llama2, "<s>", "</s>")
                .render(messages.subList(2, 3), false));
        String llama3 = "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = "
                + "'<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + "
                + "'<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}"
                + "{% endfor %}{% if add_generation_prompt %}"
                + "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}";
        assertEquals(
                "<|begin|><|start_header_id|>user<|end_header_id|>\n\nU<|eot_id|><|start_header_id|>assistant"
                        + "<|end_header_id|>\n\n",
                new ChatTemplate(llama3, "<|begin|>", "").render(messages.subList(1, 2), true));
    }

    /** Expected is what Python gives. */
    @Test
    void templates_may_split_at_spaces_and_write_titles() {
        String template = "{% for word in messages[0].content.split() %}[{{ word }}]{% endfor %}|"
                + "{{ messages[0].role.title() }}|{{ \"they're bill's 3rd\".title() }}";
        assertEquals(
                "[a][b][c]|User|They'Re Bill'S 3Rd",
                new ChatTemplate(template, "", "").render(conversation("user", " a b\n\u2003c "), false));
        assertEquals(
                "|User|They'Re Bill'S 3Rd",
                new ChatTemplate(template, "", "").render(conversation("user", " "), false));
    }

    private static String template(String file) throws IOException {
        return Files.readString(SmallModels.tokenizerFolder().resolve(file));
    }

    private static List<ChatMessage> conversation(String... rolesAndContents) {
        List<ChatMessage> messages = new ArrayList<>();
        for (int i = 0; i < rolesAndContents.length; i += 2) {
            messages.add(new ChatMessage(rolesAndContents[i], rolesAndContents[i + 1]));
        }
        return messages;
    }

    /** Written as Llama 3.2's and Qwen3's are; expected is what Jinja2 3.1.6 makes of them. */
    @Test
    void renders_templates_that_trim_and_think() throws IOException {
        String trimmed = template("trimmed.jinja");
        assertEquals(
                "<s><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
                        + "U<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nA<|eot_id|>"
                        + "<|start_header_id|>assistant<|end_header_id|>\n\n",
                new ChatTemplate(trimmed, "<s>", "")
                        .render(conversation("system", "S", "user", "U", "assistant", "A"), true));
        ChatTemplate thinking = new ChatTemplate(template("thinking.jinja"), "", "");
        assertEquals(
                "<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n",
                thinking.render(conversation("user", "U"), true));
        assertEquals(
                "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n<think>\n\n"
                        + "</think>\n\nA<|im_end|>\n",
                thinking.render(conversation("system", "S", "user", "U", "assistant", "A"), false));
        assertEquals(
                "<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n<think>\nwhy\n</think>\n\nA\n<|im_end|>\n",
                thinking.render(conversation("user", "U", "assistant", "<think>\n\nwhy\n</think>\n\nA\n"), false));
        assertEquals(
                "<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\nA<|im_end|>\n<|im_start|>user\nV<|im_end|>\n"
                        + "<|im_start|>assistant\n<think>\nB\n</think>\n\n<|im_end|>\n",
                thinking.render(
                        conversation(
                                "user",
                                "U",
                                "assistant",
                                "<think>\nwhy\n</think>\nA",
                                "user",
                                "V",
                                "assistant",
                                "B</think>"),
                        false));
    }

    /** Expected is what Jinja2 3.1.6 makes of them with trim_blocks and lstrip_blocks. */
    @Test
    void trims_as_jinja_does() {
        Map<String, String> expected = Map.of(
                "{# x #}\na", "a",
                "a  {% if true %}b{% endif %}\nc", "a  bc",
                "  {# x #}\n  {% if true %}\n  b\n  {% endif %}c", "  b\nc",
                "a\n  {#- x -#}\n b", "ab",
                "{{ 'a' }}\nb\n", "a\nb");
        expected.forEach((template, text) -> assertEquals(
                text, new ChatTemplate(template, "", "").render(conversation("user", "U"), false), template));
    }

    /** As Jinja2 trims it with the tags that the transformers library knows. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                "\"a {% generation %}b{% endgeneration %} c\" | \"a b c\"",
                "\"a {%- generation -%} b {%- endgeneration -%} c\" | \"abc\"",
                "\"a {%-generation%}b{%endgeneration-%} c\" | \"abc\"",
            })
    void knows_where_answers_are_marked(String template, String expected) {
        assertEquals(expected, new ChatTemplate(template, "", "").render(conversation("user", "U"), false));
    }

    @Test
    void a_text_ends_where_the_model_says(@TempDir Path folder) throws IOException {
        SmallModels.folder("llama", folder.resolve("a"));
        Path settings = folder.resolve("a/tokenizer_config.json");
        Files.writeString(folder.resolve("a/generation_config.json"), "{\"eos_token_id\":[4,5]}");
        try (Tokenizer tokenizer = Tokenizer.of(folder.resolve("a"))) {
            assertEquals(Set.of(4, 5), tokenizer.ends());
            assertEquals(1, tokenizer.end(), "in training");
        }
        Files.writeString(
                folder.resolve("a/config.json"),
                Files.readString(folder.resolve("a/config.json")).replaceFirst("\\{", "{\"bos_token_id\":2,"));
        Files.writeString(
                settings,
                "{\"bos_token\":null,\"eos_token\":\"</s>\",\"chat_template\":\"{{ bos_token }}x{{ eos_token }}\"}");
        try (Tokenizer tokenizer = Tokenizer.of(folder.resolve("a"))) {
            assertEquals("x</s>", tokenizer.chat(conversation("user", "a"), false));
            assertEquals(2, tokenizer.beginning());
        }
        Files.writeString(settings, "{\"eos_token\":\"</s>\",\"chat_template\":\"{{ bos_token }}x{{ eos_token }}\"}");
        try (Tokenizer tokenizer = Tokenizer.of(folder.resolve("a"))) {
            assertEquals("ax</s>", tokenizer.chat(conversation("user", "a"), false));
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"", "{}", "[]", "{\"model\":{\"vocab\":{\"a\":-1}}}", "{\"model\":{\"vocab\":{\"a\":0}}}", "x"})
    void refuses_files_that_are_no_tokenizer(String text, @TempDir Path folder) throws IOException {
        Files.writeString(folder.resolve("tokenizer.json"), text);
        String message =
                assertThrows(IOException.class, () -> Tokenizer.of(folder)).getMessage();
        assertEquals(1, message.lines().count(), message);
        assertTrue(message.contains("tokenizer.json"), message);
    }

    @Test
    void a_model_has_its_folders_tokenizer(@TempDir Path folder) throws IOException {
        LanguageModel model = LanguageModel.load(SmallModels.folder("llama", folder.resolve("a")));
        assertSame(model.tokenizer(), model.withNetwork(model.network()).tokenizer());
        assertEquals(19, model.tokenizer().vocabulary());
        model.save(folder.resolve("b"));
        assertEquals(-1, Files.mismatch(folder.resolve("a/tokenizer.json"), folder.resolve("b/tokenizer.json")));
        assertThrows(IOException.class, () -> LanguageModel.load(ReferenceModels.folder("llama"))
                .tokenizer());
        Path tokens = folder.resolve("a/tokenizer.json");
        Files.writeString(tokens, Files.readString(tokens).replace("\".\": 18", "\".\": 19"));
        String message = assertThrows(IOException.class, () -> LanguageModel.load(folder.resolve("a")))
                .getMessage();
        assertTrue(message.contains("vocabulary of 19") && message.contains("got 19"), message);
    }

    /** {@code -Dstories260k=FOLDER}: see LanguageModelTest. */
    @Test
    void encodes_as_a_trained_model_wants_it() throws IOException {
        String property = System.getProperty("stories260k");
        assumeTrue(property != null, "-Dstories260k");
        JsonNode expected = MAPPER.readTree(Path.of(property, "expected.json").toFile());
        try (Tokenizer tokenizer = Tokenizer.of(Path.of(property))) {
            for (JsonNode encoding : expected.get("encodings")) {
                String text = encoding.get("text").asText();
                assertArrayEquals(MAPPER.convertValue(encoding.get("ids"), int[].class), tokenizer.encode(text), text);
                assertEquals(text, tokenizer.decode(tokenizer.encode(text)));
            }
        }
    }
}

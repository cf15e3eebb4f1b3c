// Writes metrics and the overview image of a pull request's demo as one comment, which later runs replace.
// The files come from a run of a stranger's code: the table is escaped, the image is checked.
const fs = require("fs");
const path = require("path");

const MARK = "<!-- chimle demo -->";
const BRANCH = "pull-request-images";
const MOST_CHARACTERS = 50000;
const MOST_BYTES = 4 * 2 ** 20;
const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

// A table of text and numbers: no HTML, link, image or mention comes through. GitHub looks for mentions,
// numbers of issues and addresses in what an entity stands for, too: a space without width parts these.
function escaped(text) {
  return text
    .slice(0, MOST_CHARACTERS)
    .replace(/[&<>[\]!`]/g, (sign) => `&#${sign.charCodeAt(0)};`)
    .replace(/@|:(?=\/\/)|#(?=\d+(?!;|\d))|www(?=\.)/g, (sign) => `${sign}\u200b`);
}

// The open pull request whose head is the commit that was run; an artifact cannot name another.
async function findPullRequest(github, context) {
  const run = context.payload.workflow_run;
  const head = `${run.head_repository.owner.login}:${run.head_branch}`;
  const { data } = await github.rest.pulls.list({ ...context.repo, state: "open", head });
  return data.find((pull) => pull.head.sha === run.head_sha);
}

// Address of the image, committed to a branch of its own.
async function publishImage(github, context, number, image) {
  const git = github.rest.git;
  const blob = await git.createBlob({
    ...context.repo, content: image.toString("base64"), encoding: "base64",
  });
  const ref = `heads/${BRANCH}`;
  let parent = null;
  try {
    parent = (await git.getRef({ ...context.repo, ref })).data.object.sha;
  } catch (error) {
    if (error.status !== 404) throw error;
  }
  const name = `${number}.png`;
  const tree = await git.createTree({
    ...context.repo,
    ...(parent && { base_tree: parent }),
    tree: [{ path: name, mode: "100644", type: "blob", sha: blob.data.sha }],
  });
  const commit = await git.createCommit({
    ...context.repo,
    message: `Overview of pull request ${number}`,
    tree: tree.data.sha,
    parents: parent ? [parent] : [],
  });
  const sha = commit.data.sha;
  if (parent) await git.updateRef({ ...context.repo, ref, sha, force: true });
  else await git.createRef({ ...context.repo, ref: `refs/${ref}`, sha });
  const { owner, repo } = context.repo;
  return `https://raw.githubusercontent.com/${owner}/${repo}/${sha}/${name}`;
}

module.exports = async ({ github, context, folder }) => {
  const pull = await findPullRequest(github, context);
  if (!pull) return;
  const table = escaped(fs.readFileSync(path.join(folder, "metrics.md"), "utf8")).trim();
  const commit = context.payload.workflow_run.head_sha.slice(0, 12);
  const parts = [
    MARK,
    `Demo of ${commit}, compared with the metrics committed in the base branch; other processors change last digits.`,
    table || "No metric differs.",
  ];
  const file = path.join(folder, "overview.png");
  const image = fs.existsSync(file) ? fs.readFileSync(file) : Buffer.alloc(0);
  if (image.length <= MOST_BYTES && image.subarray(0, PNG.length).equals(PNG)) {
    const address = await publishImage(github, context, pull.number, image);
    parts.push(`![Inputs, samples and targets of every task](${address})`);
  }
  const body = parts.join("\n\n");
  const issue = { ...context.repo, issue_number: pull.number };
  const comments = await github.paginate(github.rest.issues.listComments, issue);
  const ours = comments.find(
    (comment) => comment.user.type === "Bot" && comment.body.startsWith(MARK),
  );
  if (ours) await github.rest.issues.updateComment({ ...context.repo, comment_id: ours.id, body });
  else await github.rest.issues.createComment({ ...issue, body });
};
